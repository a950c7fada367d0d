import Checkpoints
import Configuration
import Foundation
import Foundations

/// What a run folder holds, read as far as it can be.
struct RunReading {
  var contents: ReportContents
  var loaded: LoadedDetector?
  var prototypes: PrototypesFile?
  /// Patterns of the run's validation shards.
  var validation: [String] = []

  /// The folder holds nothing of a run.
  struct NotARun: ReportableError {
    let path: String
    var description: String {
      "\(printable(path, limit: 400)) is no run folder: it has no config.yaml, metrics.jsonl or "
        + "checkpoints"
    }
    var exitStatus: ExitStatus { .badData }
  }

  /// - Parameters:
  ///   - path: `runs/NAME`.
  ///   - checkpoint: `best`, `latest` or a checkpoint folder; nil: the best, or else the latest.
  /// - Throws: ``NotARun``, `FileError` if there is no such folder; of a checkpoint that was asked
  ///   for, what is wrong with it.
  init(_ path: String, checkpoint: String?, warn: (String) -> Void) throws {
    guard FileManager.default.fileExists(atPath: path) else {
      throw FileError(operation: "open the run folder", path: path, code: ENOENT)
    }
    func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(path)/\(name)") }
    guard checkpoint != nil || ["config.yaml", "metrics.jsonl", "checkpoints"].contains(where: has)
    else { throw NotARun(path: path) }

    let folder = URL(filePath: path).standardizedFileURL.lastPathComponent
    contents = ReportContents(name: folder)
    if has("config.yaml") {
      do {
        let configuration = try Configuration.load(path: "\(path)/config.yaml")
        contents.configuration = configuration
        contents.name = configuration.run.name
        validation = configuration.data.validation
      } catch {
        contents.missing[.configuration] = "The configuration can't be shown: \(error)."
      }
    }
    if has("environment.json") {
      do {
        let text = try Data(contentsOf: URL(filePath: "\(path)/environment.json"))
        contents.environment = try JSON(parsing: text)
      } catch {
        contents.missing[.environment] = "environment.json can't be shown: \(error)."
      }
    }
    if has("metrics.jsonl") { readMetrics("\(path)/metrics.jsonl") }
    try open(path, checkpoint, warn: warn)
  }

  private mutating func readMetrics(_ path: String) {
    var record = TrainingRecord()
    var damaged = 0
    var first: CheckpointError?
    do {
      try MetricsFile.forEach(in: path) { error in
        damaged += 1
        first = first ?? error
      } _: {
        record.add($0)
      }
      if let first {
        contents.missing[.training] =
          "\(FigureText.count(damaged, "line")) of metrics.jsonl can't be read and "
          + "\(damaged == 1 ? "is" : "are") left out; the first: \(first.problem)."
      }
    } catch {
      contents.missing[.training] = "metrics.jsonl can't be read: \(error)."
    }
    contents.record = record
  }

  private mutating func open(
    _ path: String, _ wanted: String?, warn: (String) -> Void
  ) throws {
    let store = CheckpointStore(path: "\(path)/checkpoints")
    let links = [("best", store.bestStep), ("latest", store.latestStep)]
    var role: String?
    var place: String?
    if let wanted, !["best", "latest"].contains(wanted) {
      place = wanted
    } else {
      let found = links.first { (wanted == nil || $0.0 == wanted) && $0.1 != nil }
      role = found?.0
      place = found.map { "\(path)/checkpoints/\($0.0)" }
      if let wanted, found == nil {
        throw FileError(
          operation: "open the checkpoint folder", path: "\(path)/checkpoints/\(wanted)",
          code: ENOENT)
      }
    }
    guard let place else {
      contents.missing[.detection] = "The run has no checkpoint yet, so nothing could be evaluated."
      return
    }
    do {
      let loaded = try LoadedDetector(opening: place) { warn($0.text) }
      contents.checkpoint = .init(
        path: place, step: loaded.checkpoint?.state.step ?? 0, role: role,
        detector: loaded.detector.form.description, crop: loaded.crop)
      self.loaded = loaded
    } catch {
      guard wanted == nil else { throw error }
      contents.missing[.detection] = "The checkpoint can't be used: \(error)."
      return
    }
    guard let file = loaded?.checkpoint?.prototypesPath, let crop = loaded?.crop else { return }
    do {
      let prototypes = try PrototypesFile(reading: file)
      guard prototypes.prototypes.height == crop, prototypes.prototypes.width == crop else {
        contents.missing[.prototypes] =
          "The checkpoint's prototypes have another size than the detector's input."
        return
      }
      self.prototypes = prototypes
    } catch {
      contents.missing[.prototypes] = "The checkpoint's prototypes can't be used: \(error)."
    }
  }
}
