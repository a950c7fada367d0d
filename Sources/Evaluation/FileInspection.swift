import Checkpoints
import FaceShards
import Foundation
import Foundations
import HierarchicalData
import Networks

/// What a file or folder holds, and what is wrong with it, for `rfm inspect`.
///
/// What it is, is told by its contents, not by its name: a shard, prototypes, any other HDF5 file,
/// weights as safetensors, PyTorch or an index of several files have them, a checkpoint folder, or the
/// folder of a run.
public struct FileInspection: Sendable {
  /// The description, line by line.
  public private(set) var lines: [String] = []
  /// What is wrong, a line each, naming the file.
  public private(set) var problems: [String] = []
  /// The status of the first problem; `ExitStatus.done` if there is none.
  public private(set) var status = ExitStatus.done

  /// How much is looked at.
  public struct Depth: Sendable {
    /// Whether everything is read and all checksums and digests are verified.
    public var verifies: Bool
    /// This rank and all ranks, which share the rows of a shard.
    public var rank = 0
    public var ranks = 1

    public init(verifies: Bool, rank: Int = 0, ranks: Int = 1) {
      self.verifies = verifies
      self.rank = rank
      self.ranks = ranks
    }
  }

  /// Looks at `path`. Whatever is wrong is in ``problems``.
  ///
  /// - Parameter progress: called with what is verified, how much is done, and the total.
  public init(
    of path: String, depth: Depth, progress: (String, Int, Int) -> Void = { _, _, _ in }
  ) {
    do {
      try inspect(path, depth, progress)
    } catch {
      problems.append("\(error)")
      status = ExitStatus(ending: error)
    }
    // Names and attributes are whatever the file says.
    lines = lines.map { printable($0, limit: Self.lineLimit) }
    problems = problems.map { printable($0, limit: Self.lineLimit) }
  }

  /// Characters of a line.
  private static let lineLimit = 2000

  private mutating func add(problems more: [String]) {
    problems += more
    if !more.isEmpty && status == .done { status = .badData }
  }

  private mutating func inspect(
    _ path: String, _ depth: Depth, _ progress: (String, Int, Int) -> Void
  ) throws {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      if FileManager.default.fileExists(atPath: "\(path)/state.json") {
        try inspectCheckpoint(path, depth)
      } else if FileManager.default.fileExists(atPath: "\(path)/checkpoints") {
        try inspectRun(path)
      } else if WeightsFile.isFolderOfWeights(path) {
        try inspectWeights(WeightsFile.read(path), depth)
      } else {
        throw ShardError(
          file: path,
          reason: "this folder is neither a checkpoint (no state.json in it) nor a run (no "
            + "checkpoints); name the files in it")
      }
      return
    }
    if let kind = FileKind.notAFile(path) {
      throw WeightsError(
        description: "\(printable(path, limit: 400)): it is \(kind)", isInputOutput: true)
    }
    let content = try FileContent(of: path)
    switch content.format {
    case .hdf5: try inspectHDF5(path, depth, progress)
    case .safetensors: try inspectSafetensors(path, depth)
    case .pyTorch, .json: try inspectWeights(WeightsFile.read(path), depth)
    case .other(let kind):
      // Behind a user block.
      if try HDF5File.isHDF5(path) { return try inspectHDF5(path, depth, progress) }
      throw ShardError(
        file: path,
        reason: "it is neither an HDF5 nor a safetensors file"
          + (kind.map { ", but \($0.description)" } ?? " nor PyTorch's, or its beginning is damaged")
      )
    }
  }

  // MARK: HDF5

  private mutating func inspectHDF5(
    _ path: String, _ depth: Depth, _ progress: (String, Int, Int) -> Void
  ) throws {
    let format = try HDF5File(reading: path).attribute("format")?.text
    switch format {
    case ShardFormat.name:
      let shard = try Shard(reading: path)
      lines += try ShardInspection(of: shard).lines
      do {
        try ShardOutput.requireSettled([path])
      } catch {
        problems.append("\(error)")
      }
      guard depth.verifies else { return }
      let rows = WorkDivision.part(of: shard.count, rank: depth.rank, ranks: depth.ranks)
      add(
        problems: try ShardInspection.problems(of: shard, rows: rows) {
          progress("images", $0, rows.count)
        })
    case PrototypesFile.format:
      describe(try PrototypesFile(reading: path))
    default:
      try inspectOtherHDF5(path, format: format)
    }
  }

  private mutating func describe(_ file: PrototypesFile) {
    let prototypes = file.prototypes
    lines.append(
      "prototypes of \(prototypes.methods.count) methods, \(prototypes.height)x\(prototypes.width)")
    for (name, count) in zip(prototypes.methods, prototypes.counts) {
      lines.append("  \(name): mean over \(count) image\(count == 1 ? "" : "s")")
    }
    let origin = file.origin
    let facts: [(String, String?)] = [
      ("model", origin.model), ("checkpoint", origin.checkpoint),
      ("step", origin.step.map { "\($0)" }), ("data", origin.data),
      ("images per method", origin.imagesPerMethod.map { "\($0)" }),
      ("validation accuracy, plain", file.calibration.plainAccuracy.map { "\($0)" }),
      ("validation accuracy, centred", file.calibration.centredAccuracy.map { "\($0)" }),
      ("unknown below, plain", file.calibration.plainThreshold.map { "\($0)" }),
      ("unknown below, centred", file.calibration.centredThreshold.map { "\($0)" }),
    ]
    for case (let name, let value?) in facts { lines.append("  \(name): \(value)") }
    guard let epoch = file.epoch else { return }
    lines.append(
      "prototypes of training images in epoch \(epoch.epoch), \(epoch.side)x\(epoch.side)")
    for (name, count) in zip(epoch.methods, epoch.counts) {
      lines.append("  \(name): mean over \(count) image\(count == 1 ? "" : "s")")
    }
  }

  private mutating func inspectOtherHDF5(_ path: String, format: String?) throws {
    let file = try HDF5File(reading: path)
    lines.append("HDF5 file" + (format.map { " of format \($0)" } ?? ""))
    for name in try file.attributeNames() where name != "format" {
      lines.append("  attribute \(name): \(try file.attribute(name).map { "\($0)" } ?? "")")
    }
    for name in try file.names() { lines.append("  \(name): \(try Self.describe(name, in: file))") }
  }

  /// What the root has by this name. A link that leads nowhere is nothing wrong.
  private static func describe(
    _ name: String, in file: borrowing HDF5File
  ) throws(HDF5Error) -> String {
    switch try file.link(name) {
    case .hard: return try describeObject(name, in: file)
    case .soft(let target):
      let found: String
      do throws(HDF5Error) { found = try describeObject(name, in: file) } catch {
        return "soft link to \(target), which can't be followed: \(error.reason)"
      }
      return "soft link to \(target), \(found)"
    case .external: return "link into another file, which is not followed"
    case .other: return "link of another program's own kind, which is not followed"
    }
  }

  private static func describeObject(
    _ name: String, in file: borrowing HDF5File
  ) throws(HDF5Error) -> String {
    guard try file.hasDataset(name) else { return "not a dataset" }
    let dataset = try file.dataset(name)
    return "\(dataset.type) \(dataset.shape), \(try dataset.storage())"
  }

  // MARK: Weights and checkpoints

  private mutating func inspectSafetensors(_ path: String, _ depth: Depth) throws {
    let file = try SafetensorsFile(opening: path)
    let values = file.entries.reduce(0) { $0 + $1.count }
    lines.append("safetensors file of \(file.entries.count) tensors, \(values) values")
    for (key, value) in file.metadata.sorted(by: { $0.key < $1.key }) {
      lines.append("  \(key): \(value)")
    }
    for entry in file.entries {
      let shape = entry.shape.map { "\($0)" }.joined(separator: "x")
      lines.append("  \(entry.name): \(entry.type.rawValue) \(shape.isEmpty ? "scalar" : shape)")
    }
    describeDetector(
      Dictionary(
        file.entries.filter(\.type.isFloatingPoint).map { ($0.name, $0.shape) },
        uniquingKeysWith: { $1 }), metadata: file.metadata)
    guard depth.verifies, depth.rank == 0 else { return }
    for entry in file.entries where entry.type.isFloatingPoint {
      let bad = try file.read(entry).values.reduce(0) { $0 + ($1.isFinite ? 0 : 1) }
      if bad > 0 {
        add(problems: ["\(path), tensor \(entry.name): \(bad) of its values are not finite"])
      }
    }
  }

  /// Weights in another form.
  private mutating func inspectWeights(_ file: WeightsFile, _ depth: Depth) throws {
    let values = file.tensors.reduce(0) { $0 + $1.values.count }
    lines.append("\(file.form.description) of \(file.tensors.count) tensors, \(values) values")
    for (key, value) in file.metadata.sorted(by: { $0.key < $1.key }) {
      lines.append("  \(key): \(value)")
    }
    for tensor in file.tensors {
      let shape = tensor.shape.map { "\($0)" }.joined(separator: "x")
      lines.append("  \(tensor.name): \(shape.isEmpty ? "scalar" : shape)")
    }
    lines += file.notes.map { "  \($0)" }
    describeDetector(
      Dictionary(file.tensors.map { ($0.name, $0.shape) }, uniquingKeysWith: { $1 }),
      metadata: file.metadata)
    guard depth.verifies, depth.rank == 0 else { return }
    for tensor in file.tensors {
      let bad = tensor.values.count { !$0.isFinite }
      if bad > 0 {
        add(
          problems: ["\(file.path), tensor \(tensor.name): \(bad) of its values are not finite"])
      }
    }
  }

  /// Which detector the tensors are, if they are one, by themselves or as their metadata say.
  private mutating func describeDetector(
    _ shapes: [String: [Int]], metadata: [String: String]
  ) {
    let said = try? WeightsUse(metadata: metadata, unless: WeightsUse())
    let all = WeightsDescription.all(
      of: shapes, truncate: said?.truncate, head: said?.head?.kind ?? .linear)
    guard let found = all.first(where: { $0.model == said?.model }) ?? all.first else {
      let difference = WeightsDifference(nearestTo: shapes)
      if !shapes.isEmpty {
        let problem = difference?.problem
        lines.append(
          "  no detector: "
            + (problem ?? "no network here has tensors of such names and shapes"))
      }
      lines += (difference?.lines ?? []).map { "  \($0)" }
      return
    }
    var line = "  weights of \(found.form)"
    if !found.prefix.isEmpty { line += ", names behind '\(found.prefix)'" }
    if let head = found.head {
      line += ", head \(head.name) of \(head.outputs) "
      switch head.outputs {
      case _ where !head.hasBias: line += "outputs without \(head.name).bias: no detector"
      case 1: line += "logit (--head sigmoid)"
      case 2: line += "classes"
      default: line += "classes: no detector, but weights to begin from (model.weights)"
      }
    } else {
      line += ", without a head: no detector, but weights to begin from (model.weights)"
    }
    lines.append(line)
    let others = all.map(\.model).filter { $0 != found.model }.map(\.rawValue)
    if !others.isEmpty, found.model != said?.model {
      lines.append(
        "  or of \(others.joined(separator: ", ")): the same tensors, used otherwise; --model says "
          + "which")
    }
    lines += found.leftAside.map { "  \($0)" }
  }

  private mutating func inspectCheckpoint(_ path: String, _ depth: Depth) throws {
    let checkpoint = try Checkpoint(readingStateOf: path)
    let state = checkpoint.state
    lines += [
      "checkpoint after step \(state.step), epoch \(state.epoch), at position \(state.position)",
      "  detector: \(state.detector.form?.description ?? state.detector.name), crop \(state.detector.crop), mean "
        + "\(state.detector.mean), std \(state.detector.std)",
      "  seed: \(state.seed), ranks: \(state.ranks)",
      "  configuration: \(state.configurationDigest)",
      state.detector.calibration.map {
        "  calibrated: temperature \(fixed($0.temperature, 4)), by \($0.real) real and \($0.fake) fake images"
      } ?? "  not calibrated",
    ]
    for metric in state.metrics {
      lines.append("  \(metric.name): \((try? metric.value.line()) ?? "")")
    }
    for name in checkpoint.files.keys.sorted() {
      let size = try FileReader(opening: "\(path)/\(name)").size
      lines.append("  \(name): \(size) bytes")
    }
    guard depth.verifies, depth.rank == 0 else { return }
    // Compares every file with its digest.
    _ = try Checkpoint(opening: path)
    var parts = [checkpoint.modelPath, checkpoint.optimizerPath]
    if let prototypes = checkpoint.prototypesPath { parts.append(prototypes) }
    for part in parts {
      let inspection = FileInspection(of: part, depth: depth)
      add(problems: inspection.problems)
    }
  }

  private mutating func inspectRun(_ path: String) throws {
    let store = CheckpointStore(path: "\(path)/checkpoints")
    let steps = try store.steps()
    lines.append("run with \(steps.count) checkpoint\(steps.count == 1 ? "" : "s")")
    for step in steps {
      var notes: [String] = []
      if step == store.latestStep { notes.append("latest") }
      if step == store.bestStep { notes.append("best") }
      lines.append(
        "  \(store.folder(step: step))"
          + (notes.isEmpty ? "" : " (\(notes.joined(separator: ", ")))"))
    }
  }
}
