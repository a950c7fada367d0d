import Foundation
import Testing

@testable import Foundations
@testable import Networks

/// Golden files: Tests/Oracle/pytorch_files.py.
@Suite struct PyTorchFileTests {
  private let temporary = PickleFolder()

  struct Expectation: Decodable {
    struct Bits: Decodable {
      var shape: [Int]
      var bits: [Int32]
    }

    var tensors: [String: Bits]?
    var error: String?
  }

  static let folder = Bundle.module.resourceURL!.appendingPathComponent("Golden/PyTorch")
  static let expected: [String: Expectation] = {
    do {
      return try JSONDecoder().decode(
        [String: Expectation].self,
        from: Data(contentsOf: folder.appendingPathComponent("expected.json")))
    } catch {
      fatalError("expected.json: \(error)")
    }
  }()
  static let readable = expected.filter { $0.value.tensors != nil }.keys.sorted()
  static let refused = expected.filter { $0.value.error != nil }.keys.sorted()

  private func golden(_ name: String) -> String {
    Self.folder.appendingPathComponent(name).path
  }

  private func bytes(_ name: String) throws -> [UInt8] {
    try Array(Data(contentsOf: URL(fileURLWithPath: golden(name))))
  }

  @Test func thereAreGoldensOfBothKinds() {
    #expect(Self.readable.count >= 20 && Self.refused.count >= 20)
  }

  @Test(arguments: readable)
  func tensorsAreThoseThatPyTorchHas(_ name: String) throws {
    let tensors = try PyTorchFile.read(golden(name)).tensors
    let expected = try #require(Self.expected[name]?.tensors)
    #expect(Set(tensors.map(\.name)) == Set(expected.keys))
    #expect(tensors.count == expected.count)
    #expect(
      tensors.map(\.name) == expected.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
    for tensor in tensors {
      let right = try #require(expected[tensor.name])
      #expect(tensor.shape == right.shape, "\(tensor.name)")
      #expect(
        tensor.values.map { Int32(bitPattern: $0.bitPattern) } == right.bits, "\(tensor.name)")
    }
    #expect(PyTorchFile.recognises(try Array(bytes(name).prefix(512))))
  }

  @Test(arguments: refused)
  func whatCannotBeReadIsCalledByItsName(_ name: String) throws {
    let error = try #require(throws: TensorFileError.self) { try PyTorchFile.read(golden(name)) }
    let words = try #require(Self.expected[name]?.error)
    #expect(error.description.contains(words), "\(error)")
    #expect(error.description.hasPrefix(golden(name)))
    #expect(!error.description.contains("\n"))
    #expect(PyTorchFile.recognises(try Array(bytes(name).prefix(512))))
  }

  /// `pytorch_files.py --xception` writes the files: too large to be kept.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["RFM_PYTORCH_FILES"] != nil))
  func everyFormOfAWholeXceptionReadsAsItsSafetensors() throws {
    let folder = URL(
      fileURLWithPath: try #require(ProcessInfo.processInfo.environment["RFM_PYTORCH_FILES"]))
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    var count = 0
    for name in names where !name.hasSuffix(".safetensors") {
      let type = name.hasPrefix("half") ? "half" : "float"
      let right = try Safetensors.read(folder.appendingPathComponent("\(type).safetensors").path)
      let clock = ContinuousClock()
      let start = clock.now
      let tensors = try PyTorchFile.read(folder.appendingPathComponent(name).path).tensors
      print("\(name): \(tensors.count) tensors in \(clock.now - start)")
      #expect(tensors == right, "\(name)")
      count += 1
    }
    #expect(count == 8)
  }

  @Test func whatIsLeftAsideIsSaid() throws {
    for form in ["archive", "legacy"] {
      #expect(
        try PyTorchFile.read(golden("\(form)-types.pt")).notes
          == ["tensors of integers are left aside: mask"])
      #expect(
        try PyTorchFile.read(golden("\(form)-module.p")).notes == [
          "it holds whole modules (network.models.Net, torch.nn.modules.container.Sequential, "
            + "network.models.Unit, torch.nn.modules.conv.Conv2d and 2 more): their parameters and "
            + "buffers are read as data"
        ])
      let notes = try PyTorchFile.read(golden("\(form)-lightning.ckpt")).notes
      #expect(notes.contains("tensors that can't be read are left aside: callbacks.box"))
      let foreign = try #require(notes.first { $0.hasPrefix("objects of other classes") })
      #expect(foreign.contains("argparse.Namespace") || foreign.contains("and"))
    }
    #expect(
      try PyTorchFile.read(golden("script.pt")).notes
        == ["it is a TorchScript program: its tensors are read, its code is not"])
    #expect(try PyTorchFile.read(golden("parallel.pth.tar")).notes == [])
  }

  @Test func otherFilesAreNotTakenForPyTorchs() {
    for text in ["", "{", "\u{89}HDF", "<!DOCTYPE html>", "version https://git-lfs", "PK", "GGUF"] {
      #expect(!PyTorchFile.recognises(Array(text.utf8)))
    }
    #expect(!PyTorchFile.recognises([0x80, 0x02]))
    // The beginnings of safetensors files whose header is 128 and 640 bytes long.
    #expect(!PyTorchFile.recognises([0x80, 0x02, 0, 0, 0, 0, 0, 0, 0x7b, 0x22]))
    #expect(!PyTorchFile.recognises([0x80, 0x02, 0x28, 0, 0, 0, 0, 0, 0x7b, 0x22]))
    #expect(!PyTorchFile.recognises([0x80, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x22]))
  }

  @Test func missingFilesAndFoldersAreErrorsOfTheSystem() throws {
    #expect(throws: FileError.self) { try PyTorchFile.read(golden("missing.pt")) }
    #expect(throws: FileError.self) { try PyTorchFile.read(Self.folder.path) }
  }

  @Test func moreThanTheLimitIsRefused() throws {
    let path = golden("archive-types.pt")
    let whole = try PyTorchFile.read(path).tensors.reduce(0) { $0 + 4 * $1.values.count }
    #expect(throws: Never.self) { try PyTorchFile.read(path, maximumBytes: whole) }
    let error = try #require(throws: TensorFileError.self) {
      try PyTorchFile.read(path, maximumBytes: whole - 1)
    }
    #expect(error.description.contains("too much for a detector"))
  }

  // MARK: Damage

  @Test(arguments: [
    "archive-types.pt", "legacy-types.pt", "legacy-views.pt", "old-views.pth", "deflated.pth",
    "tagged.pt", "protocol-4-legacy.pt",
  ])
  func everyTruncationIsNoticed(_ name: String) throws {
    let whole = try bytes(name)
    for count in 0..<whole.count {
      let path = try temporary.file(Array(whole.prefix(count)))
      let error = try #require(throws: TensorFileError.self, "\(count) bytes") {
        try PyTorchFile.read(path)
      }
      #expect(!error.description.contains("\n"))
    }
  }

  /// An archive has checksums: what is changed in it is noticed, or changes nothing.
  @Test(arguments: ["archive-types.pt", "archive-views.pt", "deflated.pth", "archive-module.p"])
  func aChangedBitOfAnArchiveIsNoticedOrHarmless(_ name: String) throws {
    let whole = try bytes(name)
    let right = try PyTorchFile.read(golden(name)).tensors
    var noticed = 0
    for place in stride(from: 0, to: whole.count, by: 1 + whole.count / 1500) {
      var changed = whole
      changed[place] ^= 1 << UInt8(place % 8)
      let path = try temporary.file(changed)
      do {
        let tensors = try PyTorchFile.read(path).tensors
        // Compared as bits: there are numbers that are none.
        #expect(tensors.map(\.name) == right.map(\.name), "byte \(place)")
        #expect(
          tensors.map { $0.values.map(\.bitPattern) } == right.map { $0.values.map(\.bitPattern) },
          "byte \(place)")
      } catch is TensorFileError {
        noticed += 1
      }
    }
    #expect(noticed > 100)
  }

  /// The older form has none: values may change, but every input ends with tensors or an error.
  @Test(arguments: [
    "legacy-types.pt", "legacy-views.pt", "legacy-lightning.ckpt", "legacy-module.p",
  ])
  func noChangedBitBreaksTheReader(_ name: String) throws {
    let whole = try bytes(name)
    for place in stride(from: 0, to: whole.count, by: 1 + whole.count / 1500) {
      for bit in [place % 8, (place + 4) % 8] {
        var changed = whole
        changed[place] ^= 1 << UInt8(bit)
        let path = try temporary.file(changed)
        do {
          for tensor in try PyTorchFile.read(path).tensors {
            #expect(tensor.shape.reduce(1, *) == tensor.values.count)
          }
        } catch is TensorFileError {
        }
      }
    }
  }

  // MARK: Made to do harm

  /// A file of the older form with any object in it.
  private func legacy(
    _ object: Pickle, keys: Pickle = Pickle().emptyList(), storages: [UInt8] = []
  ) throws -> String {
    let head = Pickle().raw([0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19])
    return try temporary.file(
      head.ended + Pickle().integer(1001).ended + Pickle().emptyDictionary().ended + object.ended
        + keys.ended + storages)
  }

  /// A dictionary with one tensor `w` in a storage '0' that has `count` numbers by its own account.
  private func oneTensor(
    count: Int, offset: Int = 0, shape: [Int], strides: [Int], stored: [Float] = [1, 2, 3, 4],
    stated: Int? = nil
  ) throws -> String {
    let tensor = Pickle().emptyDictionary().text("w")
      .tensor(count: count, offset: offset, shape: shape, strides: strides).raw("s")
    let head = withUnsafeBytes(of: UInt64(stated ?? count).littleEndian) { Array($0) }
    return try legacy(
      tensor, keys: Pickle().emptyList().text("0").raw("a"),
      storages: head + stored.withUnsafeBytes { Array($0) })
  }

  private func refusal(_ path: String) throws -> String {
    try #require(throws: TensorFileError.self) { try PyTorchFile.read(path) }.description
  }

  @Test func aTensorOfTheOlderFormIsRead() throws {
    let path = try oneTensor(count: 4, offset: 1, shape: [3], strides: [1])
    #expect(
      try PyTorchFile.read(path).tensors == [NamedTensor(name: "w", shape: [3], values: [2, 3, 4])])
  }

  @Test func aTensorThatDoesNotLieInItsStorageIsRefused() throws {
    let far = 1 << 62
    let wrong: [(offset: Int, shape: [Int], strides: [Int])] = [
      (0, [5], [1]), (1, [4], [1]), (0, [2, 2], [3, 1]), (far, [1], [1]), (4, [1], [1]),
      (5, [0], [1]), (0, [far], [far]), (0, [far, far], [1, 1]), (0, [2], [Int.max]),
      (0, [0, far, far], [1, 1, 1]), (0, [far, far, 0], [1, 1, 1]),
    ]
    for (offset, shape, strides) in wrong {
      let path = try oneTensor(count: 4, offset: offset, shape: shape, strides: strides)
      #expect(try refusal(path).contains("does not lie inside its storage"), "\(shape)")
    }
    for (offset, shape, strides) in [(-1, [1], [1]), (0, [-1], [1]), (3, [2], [-1])] {
      let path = try oneTensor(count: 4, offset: offset, shape: shape, strides: strides)
      #expect(try refusal(path).contains("its shape and strides"))
    }
  }

  @Test func fewNumbersAreNotMadeMany() throws {
    let path = try oneTensor(count: 4, shape: [1 << 20, 1 << 9], strides: [0, 0])
    #expect(try refusal(path).contains("which no weight does"))
    let larger = try oneTensor(count: 4, shape: [1 << 40], strides: [0])
    #expect(try refusal(larger).contains("too much for a detector"))
    // Many tensors of one storage, each of them all of it.
    var object = Pickle().emptyDictionary()
    for index in 0..<64 {
      object = object.text("w\(index)")
        .tensor(count: 1 << 16, offset: 0, shape: [1 << 16], strides: [1]).raw("s")
    }
    let head = withUnsafeBytes(of: UInt64(1 << 16).littleEndian) { Array($0) }
    let again = try legacy(
      object, keys: Pickle().emptyList().text("0").raw("a"),
      storages: head + [UInt8](repeating: 0, count: 1 << 18))
    #expect(try refusal(again).contains("again and again"))
  }

  @Test func aStorageThatIsNotThereIsRefusedBeforeAnythingIsReserved() throws {
    for count in [5, 1 << 30, 1 << 50, Int.max / 32, Int.max] {
      let path = try oneTensor(count: count, shape: [1], strides: [1])
      let text = try refusal(path)
      #expect(text.contains("is cut off") || text.contains("too large to be true"), "\(text)")
    }
    let path = try oneTensor(count: 4, shape: [1], strides: [1], stated: 3)
    #expect(try refusal(path).contains("where 4 were announced"))
  }

  @Test func lengthsThatLieAreRefusedBeforeAnythingIsReserved() throws {
    let huge: [UInt8] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]
    for operation in [
      [0x8d] + huge, [0x8e] + huge, [0x96] + huge, [0x8d] + huge.map { _ in 0xff },
      [0x58, 0xff, 0xff, 0xff, 0xff], [0x8b, 0xff, 0xff, 0xff, 0x7f], [0x42, 0, 0, 0, 0x80],
    ] as [[UInt8]] {
      #expect(try refusal(legacy(Pickle().raw(operation))).contains("its pickle does not end"))
    }
  }

  @Test func nestingCostsNoStack() throws {
    let deep = 300_000
    var path = try legacy(
      Pickle().raw([UInt8](repeating: UInt8(ascii: "]"), count: deep))
        .raw([UInt8](repeating: UInt8(ascii: "a"), count: deep - 1)))
    #expect(try refusal(path).contains("holds no tensor"))
    path = try legacy(
      Pickle().raw([UInt8](repeating: UInt8(ascii: "]"), count: deep))
        .tensor(count: 0, offset: 0, shape: [0], strides: [1])
        .raw([UInt8](repeating: UInt8(ascii: "a"), count: deep)),
      keys: Pickle().emptyList().text("0").raw("a"), storages: [UInt8](repeating: 0, count: 8))
    #expect(try refusal(path).contains("more than 64 deep"))
    path = try legacy(
      Pickle().raw([UInt8](repeating: UInt8(ascii: "("), count: deep)).integer(1))
    #expect(try refusal(path).contains("holds no tensor"))
  }

  @Test func sharedContainersDoNotMultiplyWithoutEnd() throws {
    // Lists of twice the one before, forty times: 2⁴⁰ ways to one tensor.
    var object = Pickle().tensor(count: 0, offset: 0, shape: [0], strides: [1])
    for level in 0..<40 {
      object = object.put(level).emptyList().get(level).raw("a").get(level).raw("a")
    }
    let path = try legacy(
      object, keys: Pickle().emptyList().text("0").raw("a"),
      storages: [UInt8](repeating: 0, count: 8))
    #expect(try refusal(path).contains("too often to be true"))
  }

  @Test func whatHoldsItselfIsReadOnce() throws {
    let object = Pickle().emptyDictionary().put(0).text("w")
      .tensor(count: 1, offset: 0, shape: [1], strides: [1]).raw("s")
      .text("self").get(0).raw("s")
    let head = withUnsafeBytes(of: UInt64(1).littleEndian) { Array($0) }
    let path = try legacy(
      object, keys: Pickle().emptyList().text("0").raw("a"), storages: head + [0, 0, 0x80, 0x3f])
    #expect(
      try PyTorchFile.read(path).tensors == [NamedTensor(name: "w", shape: [1], values: [1])])
  }

  @Test func aNameGivenTwiceIsRefused() throws {
    let storages = [UInt8](repeating: 0, count: 8)
    let keys = Pickle().emptyList().text("0").raw("a")
    let empty = { (pickle: Pickle) in
      pickle.tensor(count: 0, offset: 0, shape: [0], strides: [1])
    }
    let twice = empty(empty(Pickle().emptyDictionary().text("w")).raw("s").text("w")).raw("s")
    #expect(try refusal(legacy(twice, keys: keys, storages: storages)).contains("'w' twice"))
    let inner = empty(Pickle().emptyDictionary().text("b")).raw("s")
    let both = empty(
      Pickle().emptyDictionary().text("a").raw(inner.bytes).raw("s").text("a.b")
    ).raw("s")
    #expect(try refusal(legacy(both, keys: keys, storages: storages)).contains("'a.b' twice"))
  }

  @Test func whatWouldRunIsRefusedAndNotRun() throws {
    let marker = temporary.url.appendingPathComponent("was-run").path
    let calls: [(module: String, name: String)] = [
      ("os", "system"), ("posix", "system"), ("nt", "system"), ("subprocess", "Popen"),
      ("builtins", "eval"), ("__builtin__", "exec"), ("runpy", "_run_code"), ("torch", "load"),
      ("torch.serialization", "os.system"), ("importlib.util", "find_spec"),
    ]
    for (module, name) in calls {
      let call = Pickle().text(module).text(name).raw([0x93]).text("touch \(marker)")
        .raw([0x85]).raw("R")
      #expect(try refusal(legacy(call)).contains("would run"), "\(module).\(name)")
      let old = Pickle().raw("(").text("touch \(marker)").raw("i\(module)\n\(name)\n")
      #expect(try refusal(legacy(old)).contains("would run"), "\(module).\(name)")
    }
    #expect(!FileManager.default.fileExists(atPath: marker))
  }

  @Test func whatMakesNoSenseIsRefused() throws {
    for bytes in [
      "R", "b", "s", "a", "t", "u", "0", "1", "2", "h\u{1}", "(.", "}]s", "(]u", "Nb",
      "]K\u{1}R", ")R", "K\u{1}Q", "P12\n", "Ix\n", "g7\n", "cos\n", "\u{7f}",
    ] {
      let path = try legacy(Pickle().raw(bytes))
      #expect(throws: TensorFileError.self, "\(bytes.debugDescription)") {
        try PyTorchFile.read(path)
      }
    }
  }

  /// What begins as torch.save began its files is called so, however it goes on.
  @Test func aDamagedFileOfTheOlderFormIsCalledSo() throws {
    let path = try oneTensor(count: 4, offset: 1, shape: [3], strides: [1])
    var bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
    // Behind the magic number and the version, which are pickles of 15 and 6 bytes.
    for place in 21..<bytes.count { bytes[place] = 0 }
    try Data(bytes).write(to: URL(filePath: path))
    let refusal = try refusal(path)
    #expect(
      refusal.contains("is a file of torch.save in its older form, but damaged"), "\(refusal)")
  }

  @Test func namesFromTheFileAreFitForATerminal() throws {
    let object = Pickle().emptyDictionary().text("\u{1b}[31mred\n")
      .tensor(count: 4, offset: 0, shape: [1 << 28], strides: [0]).raw("s")
    let head = withUnsafeBytes(of: UInt64(4).littleEndian) { Array($0) }
    let text = try refusal(
      legacy(
        object, keys: Pickle().emptyList().text("0").raw("a"),
        storages: head + [UInt8](repeating: 0, count: 16)))
    #expect(text.contains("\\u{1b}[31mred\\u{a}"))
    #expect(!text.contains("\u{1b}") && !text.contains("\n"))
  }
}

/// A pickle put together by hand.
private struct Pickle {
  var bytes: [UInt8] = []

  /// With protocol and end.
  var ended: [UInt8] { [0x80, 2] + bytes + [UInt8(ascii: ".")] }

  func raw(_ more: [UInt8]) -> Pickle { Pickle(bytes: bytes + more) }
  func raw(_ more: String) -> Pickle { raw(Array(more.utf8)) }
  func emptyList() -> Pickle { raw("]") }
  func emptyDictionary() -> Pickle { raw("}") }
  func put(_ place: Int) -> Pickle { raw([UInt8(ascii: "q"), UInt8(place)]) }
  func get(_ place: Int) -> Pickle { raw([UInt8(ascii: "h"), UInt8(place)]) }
  func integer(_ value: Int) -> Pickle {
    raw([0x8a, 8] + withUnsafeBytes(of: value.littleEndian) { Array($0) })
  }
  func text(_ text: String) -> Pickle { raw([0x8c, UInt8(text.utf8.count)]).raw(text) }
  func integers(_ values: [Int]) -> Pickle {
    values.reduce(raw("(")) { $0.integer($1) }.raw("t")
  }

  /// A tensor of float32 in the storage '0'.
  func tensor(count: Int, offset: Int, shape: [Int], strides: [Int]) -> Pickle {
    raw("ctorch._utils\n_rebuild_tensor\n(").raw("(").text("storage").raw("ctorch\nFloatStorage\n")
      .text("0").text("cpu").integer(count).raw("NtQ").integer(offset).integers(shape)
      .integers(strides).raw("tR")
  }
}

/// A folder of its own for one test, removed after it.
private final class PickleFolder {
  let url = FileManager.default.temporaryDirectory.appendingPathComponent(
    "rfm-\(UUID().uuidString)")

  init() {
    do {
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    } catch {
      fatalError("no folder for the test: \(error)")
    }
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func file(_ bytes: [UInt8]) throws -> String {
    let path = url.appendingPathComponent("weights.pth")
    try Data(bytes).write(to: path)
    return path.path
  }
}
