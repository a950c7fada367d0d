import Foundation
import Foundations

/// What a run is at, or how it ended, from the files of its folder alone: `rfm status`.
public struct RunOverview: Encodable, Sendable, Equatable {
  /// The states of ``RunStatus``, and those that only others can tell.
  public enum State: String, Codable, Sendable {
    case training, validating, saving, finished, stopped, failed
    /// It said that it works, but no process has the folder open.
    case killed
    /// A process has the folder open, and has said nothing yet.
    case starting
    /// Nobody says: a run of an older rfm, or one that was ended before it began.
    case unknown
  }

  /// A checkpoint, by the number of updates in it.
  public struct Saved: Codable, Sendable, Equatable {
    public var step: Int
    public var ageSeconds: Double

    enum CodingKeys: String, CodingKey {
      case step
      case ageSeconds = "age_seconds"
    }
  }

  /// The best checkpoint.
  public struct Best: Codable, Sendable, Equatable {
    public var step: Int
    public var validationAUC: Double?

    enum CodingKeys: String, CodingKey {
      case step
      case validationAUC = "validation_auc"
    }
  }

  public var run: String
  public var state: State
  /// Since the training last said something.
  public var updatedSecondsAgo: Double?
  public var step: Int?
  public var totalSteps: Int?
  public var epoch: Int?
  public var loss: Double?
  public var learningRate: Double?
  public var imagesPerSecond: Double?
  /// Of a training at work.
  public var secondsLeft: Double?
  public var skippedSteps: Int?
  public var ranks: Int?
  public var hosts: Int?
  public var checkpoint: Saved?
  public var best: Best?
  public var slowestRank: RunStatus.SlowestRank?
  public var diskFreeBytes: Int?

  enum CodingKeys: String, CodingKey {
    case run, state, step, epoch, loss, ranks, hosts, checkpoint, best
    case updatedSecondsAgo = "updated_seconds_ago"
    case totalSteps = "total_steps"
    case learningRate = "learning_rate"
    case imagesPerSecond = "images_per_second"
    case secondsLeft = "seconds_left"
    case skippedSteps = "skipped_steps"
    case slowestRank = "slowest_rank"
    case diskFreeBytes = "disk_free_bytes"
  }

  /// - Parameters:
  ///   - folder: of the run, which is only read.
  ///   - now: seconds since 1970.
  /// - Throws: `FileError` where there is no such folder; ``CheckpointError`` where it is no run's, or its
  ///   `status.json` is damaged.
  public init(reading folder: String, now: Double = Date().timeIntervalSince1970) throws {
    guard DurableFile.isFolder(folder) else {
      throw FileError(operation: "open the run folder", path: folder, code: ENOENT)
    }
    run = folder
    let store = CheckpointStore(path: "\(folder)/checkpoints")
    let metricsPath = "\(folder)/metrics.jsonl"
    let status = try Self.status(in: folder)
    let files = ["config.yaml", "metrics.jsonl", "checkpoints"]
    guard status != nil || files.contains(where: { Self.exists("\(folder)/\($0)") }) else {
      throw CheckpointError(
        path: folder,
        problem: "is no run folder: it has neither \(RunStatus.fileName) nor \(files[0])")
    }
    let isHeld = FolderLock.isHeld(folder, file: RunFolder.lockName)
    state = Self.state(status?.state, isHeld: isHeld)
    if let status {
      updatedSecondsAgo = max(0, now - status.updated)
      (step, totalSteps, epoch) = (status.step, status.totalSteps, status.epoch)
      (loss, learningRate) = (status.loss, status.learningRate)
      imagesPerSecond = status.imagesPerSecond
      skippedSteps = status.skippedSteps
      (ranks, hosts) = (status.ranks, status.hosts)
      slowestRank = status.slowestRank
      if status.state.isAtWork, isHeld != false { secondsLeft = status.secondsLeft }
    }
    // The steps since then, or of a run without status.
    if let last = try Self.lastStep(in: metricsPath), last.step > step ?? -1 {
      step = last.step
      epoch = last.epoch
      (loss, learningRate, imagesPerSecond) = (last.loss, last.learningRate, last.rate)
      if status == nil {
        updatedSecondsAgo = Self.modified(metricsPath).map { max(0, now - $0) }
      }
    }
    if let newest = store.latestStep {
      let written = Self.writtenAt(store, step: newest)
      checkpoint = Saved(step: newest, ageSeconds: max(0, now - (written ?? now)))
    }
    if let step = store.bestStep {
      let state = try? Checkpoint(readingStateOf: store.folder(step: step)).state
      let auc = state.flatMap { JSON.object($0.details)["best_validation_auc"]?.doubleValue }
      best = Best(step: step, validationAUC: auc)
    }
    diskFreeBytes = Self.diskFree(folder)
  }

  // MARK: As text

  /// For programs.
  public var json: String {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
  }

  /// For people, a line for each thing.
  public var lines: [String] {
    var lines: [String] = []
    func line(_ label: String, _ parts: String?...) {
      let text = parts.compactMap(\.self).joined(separator: ", ")
      if !text.isEmpty {
        lines.append(label.padding(toLength: 12, withPad: " ", startingAt: 0) + text)
      }
    }
    func ago(_ seconds: Double?) -> String? { seconds.map { "\(ProgressLine.duration($0)) ago" } }
    line("run", "\(run): \(words)", ago(updatedSecondsAgo).map { "last heard of \($0)" })
    line(
      "step",
      step.map { step in
        guard let totalSteps, totalSteps > 0 else { return "\(step)" }
        let share = fixed(100 * Double(step) / Double(totalSteps), 1)
        return "\(step) of \(totalSteps) (\(share) %)"
      }, epoch.map { "epoch \($0)" },
      skippedSteps.flatMap { $0 > 0 ? "\($0) skipped" : nil })
    line(
      "rate", imagesPerSecond.map { "\(significant($0)) images/s" },
      secondsLeft.map { "\(ProgressLine.duration($0)) left" })
    line(
      "loss", loss.map { fixed($0, 4) }, learningRate.map { "learning rate \($0)" })
    line(
      "checkpoint",
      checkpoint.map { "step \($0.step), \(ago($0.ageSeconds)!)" } ?? "none yet")
    line(
      "best", best.map { "step \($0.step)" },
      best?.validationAUC.map { "validation AUC \(fixed($0, 4))" })
    line("ranks", ranks.map { "\($0) on \(hosts ?? 1) hosts" })
    if let slowestRank {
      let order = ["load", "attention", "erase", "forward", "backward", "reduce", "update"]
      let phases = order.compactMap { phase in
        slowestRank.secondsPerPhase[phase].map { "\(phase) \(significant($0)) s" }
      }
      line(
        "slowest", "rank \(slowestRank.rank) on \(slowestRank.host)", phases.joined(separator: ", ")
      )
    }
    line("disk", diskFreeBytes.map { "\(significant(Double($0) / 1e9)) GB left" })
    return lines
  }

  private var words: String {
    switch state {
    case .killed: "ended without a word (killed, or its host died): go on with --resume"
    case .stopped: "stopped on request: go on with --resume"
    case .unknown: "nothing says what it is at"
    default: state.rawValue
    }
  }

  // MARK: Files

  static func state(_ told: RunStatus.State?, isHeld: Bool?) -> State {
    guard let told else { return isHeld == true ? .starting : .unknown }
    if told.isAtWork, isHeld == false { return .killed }
    // It goes on again, and has not said so yet.
    if !told.isAtWork, isHeld == true { return .starting }
    return State(rawValue: told.rawValue)!
  }

  private static func status(in folder: String) throws -> RunStatus? {
    let path = "\(folder)/\(RunStatus.fileName)"
    guard exists(path) else { return nil }
    do {
      return try JSONDecoder().decode(RunStatus.self, from: Data(contentsOf: URL(filePath: path)))
    } catch is DecodingError {
      throw CheckpointError(path: path, problem: "is damaged: it does not hold a training's status")
    } catch {
      throw FileError(operation: "read", path: path, cause: error)
    }
  }

  private struct LastStep {
    var step: Int
    var epoch: Int?
    var loss: Double?
    var learningRate: Double?
    var rate: Double?
  }

  /// The last step that metrics tell of; only the end of the file is read.
  private static func lastStep(in path: String) throws -> LastStep? {
    guard exists(path) else { return nil }
    let reader = try FileReader(opening: path)
    var bytes = [UInt8](repeating: 0, count: min(reader.size, 1 << 17))
    let start = reader.size - bytes.count
    let count = try bytes.withUnsafeMutableBytes { try reader.read(into: $0, at: start) }
    // A line that is being written has no end yet; the first may lack its beginning.
    for line in bytes[..<count].split(separator: UInt8(ascii: "\n")).reversed() {
      guard let json = try? JSON(parsing: line), json["loss"] != nil,
        let step = json["step"]?.integerValue
      else { continue }
      return LastStep(
        step: step, epoch: json["epoch"]?.integerValue, loss: json["loss"]?.doubleValue,
        learningRate: json["learning_rate"]?.doubleValue,
        rate: json["images_per_second"]?.doubleValue)
    }
    return nil
  }

  private static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// When a checkpoint was written, in seconds since 1970; nil where it is not there.
  package static func writtenAt(_ store: CheckpointStore, step: Int) -> Double? {
    modified("\(store.folder(step: step))/\(Checkpoint.stateName)")
  }

  private static func modified(_ path: String) -> Double? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) * 1e-9
  }

  /// Bytes that may still be written where a folder is; nil where the system does not say.
  public static func diskFree(_ folder: String) -> Int? {
    var status = statvfs()
    guard statvfs(folder, &status) == 0 else { return nil }
    return Int(status.f_bavail) * Int(status.f_frsize)
  }
}
