import Foundations

/// Tensors read from a file that `torch.save` wrote, without running anything in it: such a file is a
/// pickle, which Python opens by calling whatever it names, beside the bytes of its tensors.
///
/// Read are the form of today (a ZIP archive, also TorchScript's) and that of before PyTorch 1.6, with
/// tensors in dictionaries, lists and modules saved whole. See ``PickleMachine`` for how.
public enum PyTorchFile {
  /// A pickle in an archive may have at most this many bytes: tensors lie beside it.
  static let maximumPickleBytes = 256 << 20

  /// The integer 0x1950a86a20f9469cfc6c, which the older form begins with.
  private static let magicNumber: [UInt8] = [
    0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19,
  ]

  /// Whether a file may be one of PyTorch, by how it begins: any ZIP archive, any binary pickle, and
  /// the archives of the first PyTorch. What it is, ``read(_:maximumBytes:)`` finds out and says.
  ///
  /// - Parameter prefix: its first 512 bytes; all, if it has fewer.
  public static func recognises(_ prefix: [UInt8]) -> Bool {
    if prefix.starts(with: [0x50, 0x4b, 3, 4]) || prefix.starts(with: [0x50, 0x4b, 5, 6]) {
      return true
    }
    // Three bytes of the length of a safetensors header could be the same.
    let isSafetensors =
      prefix.count > 8 && prefix[8] == UInt8(ascii: "{") && prefix[3..<8].allSatisfy { $0 == 0 }
    if prefix.count >= 3, prefix[0] == 0x80, (2...5).contains(prefix[1]), !isSafetensors {
      // What a pickle may go on with: a frame, a number, a class, a container, a text.
      return [0x95, 0x8a, 0x8c].contains(prefix[2])
        || "]})(KMJXUcNCB".utf8.contains(prefix[2])
    }
    return isLegacyTar(prefix)
  }

  /// Reads all tensors of floating-point types (float32, float16, bfloat16, float64), converted to
  /// Float and sorted by name. Names are those of `state_dict()`; where tensors lie in dictionaries and
  /// lists, the keys and places that lead to them come before, joined by dots.
  ///
  /// - Parameter maximumBytes: refuses a file whose tensors would need more memory than this.
  /// - Returns: the tensors, and what was left aside, one line each.
  /// - Throws: ``TensorFileError`` for a file that is damaged or none of PyTorch's, or whose tensors
  ///   can't be had without running code; `FileError` for one that can't be read.
  public static func read(
    _ path: String, maximumBytes: Int = 4 << 30
  ) throws -> (tensors: [NamedTensor], notes: [String]) {
    let file = try OpenFile(opening: path)
    func failure(_ problem: String) -> TensorFileError {
      TensorFileError(path: path, tensor: nil, problem: problem)
    }
    do {
      let prefix = try file.bytes(0..<min(512, file.size))
      guard recognises(prefix) else { throw failure("is no file that torch.save wrote") }
      if isLegacyTar(prefix) {
        throw failure(
          "was written by PyTorch 0.1.10 or before, in a form that is not read here: open it with "
            + "a PyTorch before 2.0 and save its tensors again")
      }
      return prefix[0] == 0x50
        ? try readArchive(file, maximumBytes) : try readLegacy(file, maximumBytes)
    } catch let problem as ZipArchive.Problem {
      throw failure(problem.text)
    } catch let problem as PickleMachine.Problem {
      throw failure(problem.text)
    }
  }

  // MARK: The two forms

  private static func readArchive(
    _ file: OpenFile, _ maximumBytes: Int
  ) throws -> (tensors: [NamedTensor], notes: [String]) {
    let archive = try ZipArchive(file)
    let pickles = archive.entries.filter { $0.name == "data.pkl" || $0.name.hasSuffix("/data.pkl") }
    guard pickles.count == 1, let pickle = pickles.first else {
      throw ZipArchive.Problem(text: archive.whatItIs)
    }
    let root = String(pickle.name.dropLast("data.pkl".count))
    if let order = archive[root + "byteorder"] {
      let text = String(decoding: try archive.bytes(of: order, limit: 64), as: UTF8.self)
      guard text == "little" else { throw otherByteOrder }
    }
    var machine = PickleMachine(
      ByteWindow(try archive.bytes(of: pickle, limit: maximumPickleBytes)))
    let value = try machine.run()
    let contents = try CheckpointContents(of: value, in: machine)
    var notes: [String] = []
    if archive.entries.contains(where: { $0.name.hasPrefix(root + "code/") }) {
      notes.append("it is a TorchScript program: its tensors are read, its code is not")
    }
    return try finish(file, machine, value, contents, notes, maximumBytes) { storage in
      let name = "\(root)data/\(storage.key)"
      guard let entry = archive[name] else {
        throw ZipArchive.Problem(
          text: "is damaged: it lacks '\(printable(name))', which a tensor lies in")
      }
      return try StoredBytes(entry, of: archive)
    }
  }

  private static func readLegacy(
    _ file: OpenFile, _ maximumBytes: Int
  ) throws -> (tensors: [NamedTensor], notes: [String]) {
    var machine = PickleMachine(ByteWindow(file, 0..<file.size))
    let magic = try machine.run()
    guard case .wideInteger(magicNumber) = magic else {
      // A pickle of something else, or by other means.
      let contents = try CheckpointContents(of: magic, in: machine)
      if let first = contents.unreadable.first {
        throw TensorFileError(
          path: file.path, tensor: first.name,
          problem: "\(first.why): open it in Python and write its tensors with torch.save")
      }
      throw PickleMachine.Problem(
        text: "is a pickle of \(described(magic, machine)), none that torch.save wrote")
    }
    machine.isOfTorch = true
    guard case .integer(1001) = try machine.run() else {
      throw PickleMachine.Problem(text: "is of a version of torch.save that is not known here")
    }
    let system = try machine.run()
    for (key, value) in system.node.map({ machine.nodes[$0].pairs }) ?? [] {
      if key.text == "little_endian", case .boolean(false) = value { throw otherByteOrder }
    }
    let value = try machine.run()
    let keys = try machine.run()

    // After the pickles: of each storage the number of its elements, and these.
    var sizes: [[UInt8]: (count: Int, size: Int)] = [:]
    for storage in machine.storages {
      let known = sizes.updateValue(
        (storage.wholeCount, storage.type.size), forKey: Array(storage.key.utf8))
      guard known.map({ $0 == (storage.wholeCount, storage.type.size) }) ?? true else {
        throw PickleMachine.Problem(
          text: "is damaged: the storage '\(printable(storage.key))' has two sizes")
      }
    }
    var position = machine.position
    var places: [[UInt8]: Range<Int>] = [:]
    for key in machine.parts(keys) {
      guard let text = key.text, let (count, size) = sizes[Array(text.utf8)] else {
        throw PickleMachine.Problem(text: "is damaged: it has a storage that no tensor lies in")
      }
      guard position + 8 <= file.size, count * size <= file.size - position - 8 else {
        throw PickleMachine.Problem(
          text: "is cut off: the storage '\(printable(text))' of \(count * size) bytes from byte "
            + "\(position) on does not end before byte \(file.size), where the file does; fetch it "
            + "again")
      }
      let stated = LittleEndianFields(try file.bytes(position..<position + 8)).u64(0)
      guard stated == UInt64(count) else {
        throw PickleMachine.Problem(
          text: "is damaged: the storage '\(printable(text))' has \(stated) elements, where "
            + "\(count) were announced")
      }
      let range = position + 8..<position + 8 + count * size
      guard places.updateValue(range, forKey: Array(text.utf8)) == nil else {
        throw PickleMachine.Problem(
          text: "is damaged: it has the storage '\(printable(text))' twice")
      }
      position = range.upperBound
    }
    let contents = try CheckpointContents(of: value, in: machine)
    var notes: [String] = []
    if position < file.size {
      notes.append("\(file.size - position) bytes after its last tensor are not read")
    }
    return try finish(file, machine, value, contents, notes, maximumBytes) { storage in
      guard let range = places[Array(storage.key.utf8)] else {
        throw PickleMachine.Problem(
          text: "is damaged: it lacks the storage '\(printable(storage.key))'")
      }
      return StoredBytes(range)
    }
  }

  private static let otherByteOrder = PickleMachine.Problem(
    text: "was written on a big-endian machine, which is not read here: open it there and write "
      + "its tensors as safetensors")

  /// PyTorch 0.1.10 and before wrote a tar archive with these files in it.
  private static func isLegacyTar(_ prefix: [UInt8]) -> Bool {
    guard prefix.count > 262, prefix[257..<262].elementsEqual("ustar".utf8) else { return false }
    let name = prefix.prefix { $0 != 0 }
    return ["sys_info", "pickle", "tensors", "storages"].contains { name.elementsEqual($0.utf8) }
  }

  // MARK: What both have in common

  /// What a checkpoint has beside weights: a tensor of these that can't be read is no loss.
  private static let besideWeights: Set<String> = [
    "optimizer", "optimizers", "optimizer_state", "optimizer_states", "optimizer_state_dict",
    "optim", "lr_scheduler", "lr_schedulers", "scheduler", "scaler", "amp", "callbacks",
    "loops", "hyper_parameters", "datamodule_hyper_parameters", "hparams", "args", "cfg",
    "config", "criterion", "loss", "rng_state", "random_state",
  ]

  private static func finish(
    _ file: OpenFile, _ machine: PickleMachine, _ value: PickleValue,
    _ found: CheckpointContents, _ notes: [String], _ maximumBytes: Int,
    locate: @escaping (PickledStorage) throws -> StoredBytes
  ) throws -> (tensors: [NamedTensor], notes: [String]) {
    var contents = found
    var notes = notes
    var passedOver: [String] = []
    for (name, why) in contents.unreadable {
      guard besideWeights.contains(String(name.prefix { $0 != "." })) else {
        throw TensorFileError(path: file.path, tensor: name, problem: why)
      }
      passedOver.append(name)
    }
    let foreign = contents.foreignClasses()
    guard !contents.tensors.isEmpty else {
      let hint =
        foreign.contains("numpy.ndarray")
        ? "; its NumPy arrays are not read: save them as tensors" : ""
      throw PickleMachine.Problem(
        text: "holds no tensor: it is \(described(value, machine)), written by torch.save\(hint)")
    }
    let floating = contents.tensors.filter { machine.tensors[$0.index].type.kind != .whole }
    let counters = contents.tensors.filter {
      machine.tensors[$0.index].type.kind == .whole
        && $0.name != "num_batches_tracked" && !$0.name.hasSuffix(".num_batches_tracked")
    }
    if !contents.moduleClasses.isEmpty {
      notes.append(
        "it holds whole modules (\(listed(contents.moduleClasses))): their parameters and buffers "
          + "are read as data")
    }
    if !counters.isEmpty {
      notes.append("tensors of integers are left aside: \(listed(counters.map(\.name)))")
    }
    if !passedOver.isEmpty {
      notes.append("tensors that can't be read are left aside: \(listed(passedOver))")
    }
    if !foreign.isEmpty {
      notes.append("objects of other classes are left aside: \(listed(foreign))")
    }

    // Views may make much of little: not more than a few times what is stored.
    var needed = 0
    var stored: [[UInt8]: Int] = [:]
    for (name, index) in floating {
      let tensor = machine.tensors[index]
      let storage = machine.storages[tensor.storage]
      stored[Array(storage.key.utf8)] = storage.wholeCount
      let (bytes, overflow) = tensor.count.multipliedReportingOverflow(by: 4)
      let (sum, beyond) = needed.addingReportingOverflow(bytes)
      guard !overflow, !beyond, sum <= maximumBytes else {
        throw TensorFileError(
          path: file.path, tensor: nil,
          problem: "holds more than \(maximumBytes >> 20) MiB of tensors, too much for a detector")
      }
      needed = sum
      guard tensor.count <= max(1 << 16, 16 * storage.wholeCount) else {
        throw TensorFileError(
          path: file.path, tensor: name,
          problem: "repeats the \(storage.wholeCount) numbers that are stored of it to "
            + "\(tensor.count), which no weight does")
      }
    }
    // As the pickle has it; whether it is so is seen before anything is reserved for a tensor.
    let storedCount = stored.values.reduce(0) { min(1 << 40, $0 + min(1 << 40, $1)) }
    guard needed / 4 <= max(1 << 20, 16 * storedCount) else {
      throw TensorFileError(
        path: file.path, tensor: nil,
        problem: "holds the same \(storedCount) numbers again and again under other names")
    }

    let reader = StorageReader(file: file, storages: machine.storages, locate: locate)
    let sorted = floating.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    // A storage that one tensor fills is read once, straight into it.
    var tensors: [NamedTensor] = []
    tensors.reserveCapacity(sorted.count)
    for (name, index) in sorted {
      tensors.append(
        NamedTensor(
          name: name, shape: machine.tensors[index].shape,
          values: try reader.values(of: machine.tensors[index])))
    }
    return (tensors, notes)
  }

  /// Some of many names, fit for a terminal.
  private static func listed(_ names: [String]) -> String {
    let shown = names.prefix(4).map { printable($0) }.joined(separator: ", ")
    return names.count > 4 ? "\(shown) and \(names.count - 4) more" : shown
  }

  /// What a value is, in words.
  private static func described(_ value: PickleValue, _ machine: PickleMachine) -> String {
    switch value {
    case .none, .boolean: return "a truth value"
    case .integer, .wideInteger, .number: return "a number"
    case .text, .blob: return "a text"
    case .node(let index):
      let node = machine.nodes[index]
      switch node.kind {
      case .list, .tuple: return "a list of \(node.elements.count) values"
      case .set: return "a set"
      case .dictionary:
        let keys = node.pairs.prefix(64).compactMap(\.key.text).map { "'\($0)'" }
        let count = node.elements.count / 2
        return keys.isEmpty
          ? "a dictionary of \(count) values"
          : "a dictionary of \(count) values, such as \(listed(keys))"
      case .object(let type): return "an object of the class \(printable(type.path))"
      case .global(let global): return "the name \(printable(global.path))"
      case .tensor, .storage, .unreadable: return "a tensor"
      case .plain: return "a plain value"
      }
    }
  }
}
