import Configuration
import Foundation
import Foundations

/// The folder of a run, `runs/NAME/`:
///
/// | | |
/// | --- | --- |
/// | `config.yaml` | the configuration with every value resolved |
/// | `environment.json` | versions, hosts, ranks, threads, instruction set |
/// | `metrics.jsonl` | what was measured, one JSON object a line |
/// | `status.json` | what the training is at, every few seconds, see ``RunStatus`` |
/// | `checkpoints/` | see ``CheckpointStore`` |
/// | `report.html` | what came of it, for people; written when the training has ended |
///
/// One training at a time has it open: rank 0 holds a lock, which the system releases however the
/// process ends.
public final class RunFolder: Sendable {
  public let path: String
  public let checkpoints: CheckpointStore

  private let lock: FolderLock
  /// Folders that were not there before, the outermost first.
  private let made: [String]

  public var configurationPath: String { "\(path)/config.yaml" }
  public var environmentPath: String { "\(path)/environment.json" }
  public var metricsPath: String { "\(path)/metrics.jsonl" }
  var statusPath: String { "\(path)/\(RunStatus.fileName)" }
  static let lockName = ".lock"

  /// A run folder that can't be used, and why.
  public struct Refusal: ReportableError, Equatable {
    public let description: String

    package init(description: String) {
      self.description = description
    }
    public var exitStatus: ExitStatus { .badData }
  }

  /// Opens the folder, and makes it where there is none.
  ///
  /// - Parameters:
  ///   - path: `configuration.run.folder`.
  ///   - resume: whether a training that is already in it is to be continued; otherwise there
  ///     must be none.
  ///   - patience: seconds to wait for another process to let go of the folder; a training that
  ///     was just killed may need a moment to be gone.
  /// - Throws: ``Refusal``, `FileError`.
  public init(opening path: String, resume: Bool, patience: Double = 10) throws {
    let lock: FolderLock
    do {
      lock = try FolderLock(path, file: Self.lockName, keepsFile: true, patience: patience)
    } catch is FolderLock.Held {
      throw Refusal(
        description: "\(printable(path)) is in use by another training: wait for it to end, or "
          + "choose another run.name")
    }
    do {
      try DurableFile.makeFolder("\(path)/checkpoints")
    } catch {
      lock.removeMadeFolders()
      throw error
    }
    Self.removeLeftovers(in: path)
    self.path = path
    self.lock = lock
    made = lock.made
    checkpoints = CheckpointStore(path: "\(path)/checkpoints")
    if !resume {
      let holdsMetrics = ((try? FileReader(opening: metricsPath).size) ?? 0) > 0
      guard try checkpoints.steps().isEmpty, !holdsMetrics else {
        throw Refusal(
          description: "\(printable(path)) already holds a training: continue it with --resume, "
            + "or choose another run.name")
      }
    }
  }

  /// What the user should know: nothing keeps another training out where the file system of the
  /// folder knows no locks.
  public var warning: String? {
    lock.isExclusive
      ? nil
      : "\(printable(path)): its file system knows no locks, so nothing keeps another training out "
        + "of this folder: start only one"
  }

  /// Removes what a process that was killed had begun to write (see `DurableFile`).
  private static func removeLeftovers(in path: String) {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] {
      guard name.hasSuffix(".partial"),
        ["config.yaml.", "environment.json.", "report.html.", "\(RunStatus.fileName)."].contains(
          where: name.hasPrefix)
      else { continue }
      unlink("\(path)/\(name)")
    }
  }

  /// Removes what ``init(opening:resume:patience:)`` has made, and what was written since, if there was
  /// no folder before: a training that is refused leaves no trace. A folder with a checkpoint stays.
  public func abandon() {
    guard made.contains(path), (try? checkpoints.steps().isEmpty) == true else { return }
    try? FileManager.default.removeItem(atPath: path)
    for folder in made.reversed() where !folder.hasPrefix(path) { rmdir(folder) }
  }

  /// Writes `config.yaml`.
  public func write(_ configuration: Configuration) throws {
    try DurableFile.write(configuration.yaml, to: configurationPath)
  }

  /// Writes `environment.json`.
  public func write(_ environment: RunEnvironment) throws {
    try DurableFile.write(environment.json.page(), to: environmentPath)
  }

  /// Writes `status.json`. It is not flushed: a moment later there is another.
  public func write(_ status: RunStatus) throws {
    try DurableFile.replace(statusPath, with: try status.text)
  }

  /// Opens `metrics.jsonl`, see ``MetricsFile``.
  public func metrics(
    resumingAfter step: Int, hasWorkPending: Bool = false
  ) throws -> MetricsFile {
    try MetricsFile(
      path: metricsPath, resumingAfter: step, hasWorkPending: hasWorkPending)
  }
}
