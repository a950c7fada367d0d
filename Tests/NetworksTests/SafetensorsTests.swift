import Foundation
import TestSupport
import Testing

@testable import Foundations
@testable import Networks

/// Golden files: Tests/Oracle/safetensors_files.py.
@Suite struct SafetensorsTests {
  private let temporary = TemporaryFolder()
  private var folder: URL { temporary.url }

  private func golden(_ name: String) throws -> String {
    try #require(Bundle.module.url(forResource: "Golden/\(name)", withExtension: nil)).path
  }

  /// A file with the given header (its length in front) and bytes after it.
  private func file(_ header: String, data: Int, length: UInt64? = nil) throws -> String {
    var bytes = Data()
    var count = (length ?? UInt64(header.utf8.count)).littleEndian
    withUnsafeBytes(of: &count) { bytes.append(contentsOf: $0) }
    bytes.append(contentsOf: header.utf8)
    bytes.append(Data(count: data))
    let path = folder.appendingPathComponent("\(UUID().uuidString).safetensors")
    try bytes.write(to: path)
    return path.path
  }

  @Test func everyFloatingPointTypeReadsAsInPython() throws {
    let tensors = try Safetensors.read(golden("safetensors-mixed.safetensors"))
    let expected = try JSONDecoder().decode(
      [String: [Int32]].self,
      from: Data(contentsOf: URL(fileURLWithPath: golden("safetensors-mixed.json"))))
    #expect(tensors.map(\.name) == ["bf16", "f16", "f32", "f64"])
    for tensor in tensors {
      #expect(tensor.shape == [10])
      #expect(tensor.values.map { Int32(bitPattern: $0.bitPattern) } == expected[tensor.name])
    }
  }

  @Test func integersAreKeptApart() throws {
    let file = try SafetensorsFile(opening: golden("safetensors-mixed.safetensors"))
    let entries = Dictionary(uniqueKeysWithValues: file.entries.map { ($0.name, $0) })
    let counter = try #require(entries["num_batches_tracked"])
    #expect(counter.shape == [])
    #expect(try file.readIntegers(counter) == [12_345_678_901])
    let small = try #require(entries["small"])
    #expect(small.shape == [2, 2])
    #expect(try file.readIntegers(small) == [-1, 2, 3, -128])
    #expect(throws: TensorFileError.self) { try file.read(counter) }
    #expect(throws: TensorFileError.self) { try file.readIntegers(#require(entries["f32"])) }
  }

  @Test func whatIsWrittenIsByteForByteWhatPythonWrites() throws {
    let original = try golden("safetensors-float32.safetensors")
    let tensors = try Safetensors.read(original)
    #expect(Set(tensors.map(\.name)).contains("a \"name\" with \\ and ünïcode"))
    let copy = folder.appendingPathComponent("copy.safetensors").path
    try Safetensors.write(tensors.reversed(), metadata: ["format": "pt"], to: copy)
    #expect(
      try Data(contentsOf: URL(fileURLWithPath: copy))
        == Data(contentsOf: URL(fileURLWithPath: original)))
    #expect(try SafetensorsFile(opening: copy).metadata == ["format": "pt"])
  }

  @Test func namesAndTextsOfEveryKindComeBack() throws {
    let name = "tab\t, newline\n, quote\", backslash\\, escape\u{1b}, 𝔽, é"
    let path = folder.appendingPathComponent("names.safetensors").path
    let tensors = [NamedTensor(name: name, shape: [2, 1], values: [.infinity, -0.0])]
    try Safetensors.write(tensors, metadata: [name: name, "": ""], to: path)
    #expect(try Safetensors.read(path) == tensors)
    #expect(try SafetensorsFile(opening: path).metadata == [name: name, "": ""])
  }

  @Test func escapesAndSpacesOfOtherWritersAreUnderstood() throws {
    let path = try file(
      #"{"\u0041\ud835\udd3d\/" : {"shape":[1], "data_offsets":[0,4] ,"dtype":"F32"}}  "#, data: 4)
    #expect(
      try Safetensors.read(path) == [NamedTensor(name: "A𝔽/", shape: [1], values: [0])])
  }

  @Test func aNameUsedTwiceIsNotWritten() throws {
    let path = folder.appendingPathComponent("twice.safetensors").path
    let tensor = NamedTensor(name: "w", shape: [], values: [1])
    #expect(throws: TensorFileError.self) { try Safetensors.write([tensor, tensor], to: path) }
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  /// Header, bytes of data, and words that the message must have.
  static let damaged: [(header: String, data: Int, message: String)] = [
    ("[]", 0, "begin with '{'"),
    (" {}", 0, "begin with '{'"),
    ("{}x", 0, "goes on after"),
    ("{}", 1, "1 bytes after"),
    ("{\"w\":", 0, "'{' expected"),
    ("{\"w\":7}", 0, "'{' expected"),
    ("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}", 4, "'}' expected"),
    ("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 3, "its tensors end at"),
    ("{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "takes 8 bytes"),
    ("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "ends before"),
    ("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "begins at byte 4"),
    ("{\"w\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "not negative"),
    ("{\"w\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, "']' expected"),
    ("{\"w\":{\"dtype\":\"F99\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "'F99'"),
    ("{\"w\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "no dtype"),
    ("{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "no shape"),
    ("{\"w\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "data_offsets"),
    ("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "data_offsets"),
    ("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, "more than 2"),
    ("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, "'x'"),
    (
      "{\"w\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", 0,
      "too large to be true"
    ),
    (
      "{\"w\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]}}", 4,
      "too large to be true"
    ),
    (
      "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
        + "\"v\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}", 6, "overlaps"
    ),
    (
      "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
        + "\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "twice"
    ),
    ("{\"__metadata__\":{\"a\":1}}", 0, "'\"' expected"),
    ("{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}", 0, "'\"' expected"),
    ("{\"\\ud835\":{}}", 0, "surrogate"),
    ("{\"\\x\":{}}", 0, "escaped"),
    ("{\"\\u12", 0, "hexadecimal"),
    ("{\"w", 0, "end of a text"),
    (String(repeating: "{\"a\":", count: 100_000), 0, "does not know"),
    (
      "{\"\u{7f}\\u001b[31mred\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 0,
      "\\u{7f}\\u{1b}[31mred"
    ),
  ]

  @Test(arguments: damaged.indices)
  func aDamagedFileIsRefusedWithItsNameAndTheTensors(_ index: Int) throws {
    let (header, data, message) = Self.damaged[index]
    let path = try file(header, data: data)
    let error = try #require(throws: TensorFileError.self) { try Safetensors.read(path) }
    #expect(error.description.contains(message), "\(error)")
    #expect(error.description.contains(path))
    #expect(!error.description.contains("\n") && !error.description.contains("\u{1b}"))
  }

  @Test func aHeaderLengthThatLiesIsRefused() throws {
    for length in [0, 1, 3, 100, 1 << 40, UInt64.max] {
      let path = try file("{}", data: 0, length: length)
      #expect(throws: TensorFileError.self) { try Safetensors.read(path) }
    }
    for count in 0..<8 {
      let path = folder.appendingPathComponent("short").path
      try Data(count: count).write(to: URL(fileURLWithPath: path))
      #expect(throws: TensorFileError.self) { try Safetensors.read(path) }
    }
  }

  @Test func everyTruncationIsNoticed() throws {
    let whole = try Data(
      contentsOf: URL(fileURLWithPath: golden("safetensors-float32.safetensors")))
    let path = folder.appendingPathComponent("cut.safetensors")
    for count in 0..<whole.count {
      try whole.prefix(count).write(to: path)
      #expect(throws: TensorFileError.self) { try Safetensors.read(path.path) }
    }
  }

  @Test func aFileLargerThanTheLimitIsRefusedBeforeItIsRead() throws {
    // A sparse file: sixteen GiB that take no place on the disk.
    let header =
      "{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
      + "\"v\":{\"dtype\":\"F32\",\"shape\":[4294967296],\"data_offsets\":[1,17179869185]}}"
    let path = try file(header, data: 0)
    #expect(truncate(path, 8 + header.utf8.count + 17_179_869_185) == 0)
    let error = try #require(throws: TensorFileError.self) { try Safetensors.read(path) }
    #expect(error.description.contains("too much"))
  }

  @Test func aMissingFileAFolderAndAPipeAreErrors() throws {
    let missing = folder.appendingPathComponent("missing").path
    let error = try #require(throws: FileError.self) { try Safetensors.read(missing) }
    #expect(error.description == "can't open \(missing): No such file or directory")
    #expect(throws: FileError.self) { try Safetensors.read(folder.path) }
    let pipe = folder.appendingPathComponent("pipe").path
    #expect(mkfifo(pipe, 0o600) == 0)
    #expect(throws: FileError.self) { try Safetensors.read(pipe) }
  }

  @Test func everyHalfPrecisionNumberIsExact() {
    #if arch(arm64) || os(Linux)
      for bits in UInt16.min...UInt16.max {
        let expected = Float(Float16(bitPattern: bits))
        let value = halfToFloat(bits)
        #expect(expected.isNaN ? value.isNaN : value.bitPattern == expected.bitPattern)
      }
    #endif
  }
}

@Suite struct DurableFileTests {
  @Test func aFailureLeavesWhatWasThereAndNothingBesideIt() throws {
    struct Stop: Error {}
    let temporary = TemporaryFolder()
    let folder = temporary.url
    let path = folder.appendingPathComponent("file").path
    try DurableFile.write("before", to: path)
    #expect(throws: Stop.self) {
      try DurableFile.write(to: path) { file in
        try [1, 2, 3].withUnsafeBytes { try file.write($0) }
        throw Stop()
      }
    }
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "before")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["file"])
    #expect(throws: FileError.self) {
      try DurableFile.write("x", to: folder.appendingPathComponent("no/such").path)
    }
  }

  @Test func foldersOfPathsAreFound() {
    #expect(DurableFile.folder(of: "a/b/c") == "a/b")
    #expect(DurableFile.folder(of: "c") == ".")
    #expect(DurableFile.folder(of: "/c") == "/")
  }
}
