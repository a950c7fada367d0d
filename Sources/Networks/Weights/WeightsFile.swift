import Foundations
import Glibc

/// Weights as others keep them: a safetensors file, a PyTorch file, an index of several of them, or a
/// folder with one of these. What a file is, is told by its contents, not by its name.
///
/// Names are those in the file: what they mean for a detector is found by ``Detector/load(_:from:seed:head:)``.
public struct WeightsFile: Sendable {
  /// The file that was read: the path that was given, or that of the file in a folder.
  public let path: String
  public let form: Form
  /// All tensors of floating-point types as Float, sorted by name.
  public let tensors: [NamedTensor]
  /// Texts kept with them; PyTorch's files have none.
  public let metadata: [String: String]
  /// Names of the tensors of other types in a safetensors file, such as counters.
  public let others: [String]
  /// What the reader left aside, a line each.
  public let notes: [String]

  public enum Form: Sendable, Equatable {
    case safetensors
    case pyTorch
    /// Of so many files.
    case index(parts: Int)

    public var description: String {
      switch self {
      case .safetensors: "safetensors file"
      case .pyTorch: "PyTorch file"
      case .index(let parts): "index of \(parts) file\(parts == 1 ? "" : "s")"
      }
    }
  }

  /// Reads all tensors.
  ///
  /// - Parameters:
  ///   - path: a file; or a folder that has `model.safetensors`, or an index, in it.
  ///   - maximumBytes: refuses what would need more memory than this.
  /// - Throws: ``WeightsError`` for what holds no weights, saying what it is; ``TensorFileError`` for
  ///   what is damaged; `FileError`.
  public static func read(_ path: String, maximumBytes: Int = 4 << 30) throws -> WeightsFile {
    try read(path, isPart: false, maximumBytes: maximumBytes)
  }

  private static func read(
    _ path: String, isPart: Bool, maximumBytes: Int
  ) throws -> WeightsFile {
    let file = try isPart ? path : self.file(at: path)
    if let kind = FileKind.notAFile(file) {
      throw WeightsError(
        description: "\(printable(file, limit: 400)): it is \(kind), not a file of weights",
        isInputOutput: true)
    }
    let content = try FileContent(of: file)
    switch content.format {
    case .safetensors: return try safetensors(file, maximumBytes: maximumBytes)
    case .pyTorch:
      let (tensors, notes) = try PyTorchFile.read(file, maximumBytes: maximumBytes)
      return WeightsFile(
        path: file, form: .pyTorch, tensors: sorted(tensors), metadata: [:], others: [],
        notes: notes)
    case .json where !isPart: return try indexed(file, maximumBytes: maximumBytes)
    case .json, .hdf5, .other:
      guard let kind = content.kind else {
        throw WeightsError(
          description: "\(printable(file, limit: 400)): it is neither a safetensors nor a PyTorch "
            + "file, or its beginning is damaged")
      }
      throw WeightsError(
        description: "\(printable(file, limit: 400)): it is \(kind.description)"
          + (kind.advice == nil ? "; weights are a safetensors or a PyTorch file" : ""))
    }
  }

  private static func sorted(_ tensors: [NamedTensor]) -> [NamedTensor] {
    tensors.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }

  private static func safetensors(_ path: String, maximumBytes: Int) throws -> WeightsFile {
    let file = try SafetensorsFile(opening: path)
    return WeightsFile(
      path: path, form: .safetensors, tensors: try file.readAll(maximumBytes: maximumBytes),
      metadata: file.metadata,
      others: file.entries.filter { !$0.type.isFloatingPoint }.map(\.name), notes: [])
  }

  // MARK: Folders

  /// Whether a folder has weights in it that ``read(_:maximumBytes:)`` takes.
  public static func isFolderOfWeights(_ path: String) -> Bool {
    namesInFolders.contains { access("\(path)/\($0)", F_OK) == 0 }
  }

  /// Names of files with weights, in folders as others publish them; the first that is there is taken.
  private static let namesInFolders = [
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
    "pytorch_model.bin.index.json",
  ]

  /// The file that stands for a path: the path itself unless it is a folder.
  private static func file(at path: String) throws -> String {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return path }
    func has(_ name: String) -> Bool { access("\(path)/\(name)", F_OK) == 0 }
    let folder = printable(path, limit: 400)
    if has("optimizer.safetensors"), has("model.safetensors") {
      throw WeightsError(
        description: "\(folder): it is a folder with a checkpoint's weights but no state.json: "
          + "copy the whole checkpoint, or name \(folder)/model.safetensors for its weights alone")
    }
    if let name = namesInFolders.first(where: has) { return "\(path)/\(name)" }
    if has("checkpoints") {
      throw WeightsError(
        description: "\(folder): it is the folder of a run, not a checkpoint: name "
          + "\(folder)/checkpoints/best")
    }
    if has("best") || has("latest") {
      throw WeightsError(
        description: "\(folder): it is a folder of checkpoints: name \(folder)/"
          + (has("best") ? "best" : "latest"))
    }
    throw WeightsError(
      description: "\(folder): it is a folder, not a checkpoint: it has neither state.json nor "
        + "model.safetensors or its index in it")
  }

  // MARK: Several files

  private static func indexed(_ path: String, maximumBytes: Int) throws -> WeightsFile {
    let name = printable(path, limit: 400)
    func failure(_ problem: String) -> WeightsError {
      WeightsError(description: "\(name): \(problem)")
    }
    let index = try WeightsIndex(reading: path)
    let folder = DurableFile.folder(of: path)
    var tensors: [NamedTensor] = []
    var others: [String] = []
    var notes: [String] = []
    var metadata: [String: String]?
    var left = maximumBytes
    for (file, names) in index.parts.sorted(by: { $0.key < $1.key }) {
      let part: WeightsFile
      do {
        part = try read("\(folder)/\(file)", isPart: true, maximumBytes: left)
      } catch let error as FileError where error.code == ENOENT {
        throw failure(
          "its part \(printable(file, limit: 200)) is missing (\(index.parts.count) in all): it "
            + "belongs beside the index")
      }
      let listed = Set(names)
      let found = Set(part.tensors.map(\.name))
      let missing = listed.subtracting(found).subtracting(part.others).sorted()
      // The reader of PyTorch's files leaves counters out.
      if let missing = missing.first(where: { !$0.hasSuffix("num_batches_tracked") }) {
        throw failure(
          "tensor '\(printable(missing))' is not in \(printable(file, limit: 200)), where the index "
            + "has it")
      }
      if let extra = found.union(part.others).subtracting(listed).min() {
        throw failure(
          "tensor '\(printable(extra))' is in \(printable(file, limit: 200)), where the index does "
            + "not have it")
      }
      left -= part.tensors.reduce(0) { $0 + $1.values.count * MemoryLayout<Float>.stride }
      tensors += part.tensors
      others += part.others
      notes += part.notes
      // What parts do not agree in says nothing about the whole.
      metadata =
        metadata.map { all in all.filter { part.metadata[$0.key] == $0.value } }
        ?? part.metadata
    }
    return WeightsFile(
      path: path, form: .index(parts: index.parts.count), tensors: sorted(tensors),
      metadata: metadata ?? [:], others: others, notes: notes)
  }
}

/// Which reader a file is for, told by its beginning.
public struct FileContent: Sendable {
  public enum Format: Sendable, Equatable {
    case hdf5, safetensors, pyTorch, json
    /// None that is read here; with what it is, where that is known.
    case other(FileKind?)
  }

  public let format: Format
  /// For messages; nil where it is not known.
  public let kind: FileKind?

  /// - Throws: `FileError`.
  public init(of path: String) throws {
    let reader = try FileReader(opening: path)
    let beginning = try FileKind.beginning(of: reader)
    kind = FileKind(beginning: beginning, size: reader.size)
    format =
      if FileKind.isSafetensors(beginning) {
        .safetensors
      } else if PyTorchFile.recognises(beginning) {
        .pyTorch
      } else if FileKind.isHDF5(beginning) {
        .hdf5
      } else if kind?.isJSON == true {
        .json
      } else {
        .other(kind)
      }
  }
}

extension WeightsIndex {
  /// - Throws: ``WeightsError``, `FileError`.
  init(reading path: String) throws {
    let reader = try FileReader(opening: path)
    let name = printable(path, limit: 400)
    guard reader.size <= Self.maximumBytes else {
      throw WeightsError(
        description: "\(name): is too large to be an index of weights (\(reader.size) bytes)")
    }
    var bytes = [UInt8](repeating: 0, count: reader.size)
    let count = try bytes.withUnsafeMutableBytes { try reader.read(into: $0, at: 0) }
    do throws(Problem) {
      try self.init(parsing: Array(bytes[..<count]))
    } catch {
      throw WeightsError(description: "\(name): \(error.text)")
    }
  }
}
