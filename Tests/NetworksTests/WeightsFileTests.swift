import Foundation
import TestSupport
import Testing

@testable import Foundations
@testable import Networks

@Suite struct WeightsFileTests {
  private let temporary = TemporaryFolder()

  private func path(_ name: String) -> String { temporary.url.appendingPathComponent(name).path }

  @discardableResult
  private func write(_ bytes: [UInt8], _ name: String) throws -> String {
    try Data(bytes).write(to: URL(filePath: path(name)))
    return path(name)
  }

  private func message(_ name: String) -> String {
    do {
      _ = try WeightsFile.read(path(name))
      return "no error"
    } catch {
      return "\(error)"
    }
  }

  private let tensors = [
    NamedTensor(name: "a", shape: [2], values: [1, 2]),
    NamedTensor(name: "b", shape: [], values: [3]),
    NamedTensor(name: "c", shape: [1, 1], values: [4]),
  ]

  // MARK: Several files

  private func writeIndex(_ map: String, _ name: String = "model.safetensors.index.json") throws {
    try write(
      Array(
        "{\"metadata\": {\"total_size\": 16, \"x\": [null, {}]}, \"weight_map\": {\(map)}}".utf8),
      name)
  }

  private func writeParts() throws {
    try Safetensors.write(
      [tensors[2], tensors[0]], metadata: ["format": "pt", "crop": "64", "part": "1"],
      to: path("one.safetensors"))
    try Safetensors.write(
      [tensors[1]], metadata: ["format": "pt", "crop": "64", "part": "2"],
      to: path("two.safetensors"))
  }

  private static let whole =
    #""a": "one.safetensors", "b": "two.safetensors", "c": "one.safetensors""#

  @Test func anIndexIsReadWithItsPartsFromItsOwnNameOrThatOfTheFolder() throws {
    try writeParts()
    try writeIndex(Self.whole)
    for place in [path("model.safetensors.index.json"), temporary.url.path] {
      let file = try WeightsFile.read(place)
      #expect(file.tensors == tensors)
      #expect(file.form == .index(parts: 2))
      // What the parts agree in.
      #expect(file.metadata == ["format": "pt", "crop": "64"])
    }
    // What it is, its contents say.
    try writeIndex(Self.whole, "weights.pth")
    #expect(try WeightsFile.read(path("weights.pth")).tensors == tensors)
  }

  @Test func anIndexThatItsPartsDoNotBearOutIsRefusedByName() throws {
    try writeParts()
    let cases: [(map: String, words: [String])] = [
      (
        Self.whole + #", "d": "three.safetensors""#,
        ["part three.safetensors is missing", "3 in all"]
      ),
      (Self.whole + #", "d": "two.safetensors""#, ["tensor 'd' is not in two.safetensors"]),
      (
        #""a": "one.safetensors", "b": "two.safetensors""#,
        ["tensor 'c' is in one.safetensors, where the index does not have it"]
      ),
      (Self.whole + #", "a": "two.safetensors""#, ["lists tensor 'a' twice"]),
      (#""a": "../one.safetensors""#, ["'../one.safetensors'", "nothing outside its folder"]),
      (#""a": "x/../../one.safetensors""#, ["nothing outside its folder"]),
      (#""a": "/etc/passwd""#, ["'/etc/passwd'", "nothing outside its folder"]),
      (#""a": """#, ["nothing outside its folder"]),
      (#""a": "one.safetensors\u0000""#, ["nothing outside its folder"]),
      (#""a": "model.safetensors.index.json""#, ["it is a JSON document"]),
      (#""a": 7"#, ["'\"' expected"]),
      ("", ["without any tensor"]),
    ]
    for (map, words) in cases {
      try writeIndex(map)
      let message = message("model.safetensors.index.json")
      for word in words { #expect(message.contains(word), "\(map): \(message)") }
      #expect(!message.contains("\n"))
    }
    try writeIndex(#""a": "one.safetensors", "b": "two.safetensors", "c": "one.safetensors""#)
    try write([1, 2, 3], "two.safetensors")
    #expect(message("model.safetensors.index.json").contains("two.safetensors"))
  }

  @Test func documentsThatAreNoIndexAreRefused() throws {
    for (text, words) in [
      (#"{"hidden_size": 3}"#, "no index of weights"), ("[]", "'{' expected"), ("{", "expected"),
      (#"{"weight_map": {}, "weight_map": {}}"#, "two lists weight_map"),
      (#"{"weight_map": null}"#, "'{' expected"), (#"{"a": 1} x"#, "goes on"),
      (#"{"a":"# + String(repeating: "[", count: 100_000), "nested too deeply"),
    ] {
      try write(Array(text.utf8), "config.json")
      #expect(message("config.json").contains(words), "\(message("config.json"))")
    }
  }

  @Test func everyTruncationOfAnIndexIsNoticed() throws {
    try writeParts()
    try writeIndex(Self.whole)
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: path("model.safetensors.index.json"))))
    for count in 0..<bytes.count {
      try write(Array(bytes[..<count]), "cut.json")
      #expect(message("cut.json") != "no error")
    }
  }

  // MARK: What is no weights

  /// Beginnings of files that people give, and what each is called.
  static let others: [(name: String, bytes: [UInt8], words: [String])] = [
    ("empty", [], ["it is empty"]),
    (
      "pointer",
      Array("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 91680000\n".utf8),
      ["Git LFS pointer", "91680000 bytes", "git lfs pull"]
    ),
    (
      "page", Array("\u{FEFF}\n <!DOCTYPE html><html><title>Virus scan warning</title>".utf8),
      ["a web page"]
    ),
    ("answer", Array("<?xml version=\"1.0\"?><Error><Code>AccessDenied".utf8), ["XML document"]),
    ("words", Array("hello, this is text".utf8), ["a text that begins with 'hello, this is text'"]),
    ("gzip", [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3], ["gzip archive"]),
    (
      "tar", padded("images/1.png", to: 257) + Array("ustar".utf8) + zeros(250),
      ["tar archive", "images/1.png"]
    ),
    ("old tar", padded("model.pth", to: 512), ["tar archive", "model.pth"]),
    (
      "onnx", [8, 8, 0x12, 7] + Array("pytorch".utf8) + [0x1A, 5],
      ["ONNX model", "rfm reads weights, not graphs"]
    ),
    ("hdf5", hdf5 + zeros(64), ["an HDF5 file"]),
    ("keras", hdf5 + zeros(64) + Array("keras_version".utf8), ["a Keras model"]),
    ("shard", hdf5 + zeros(64) + Array("rfm-shard".utf8), ["a shard of images", "--data"]),
    ("prototypes", hdf5 + zeros(64) + Array("rfm-prototypes".utf8), ["a file of prototypes"]),
    (
      "tensorflow", Array("model_checkpoint_path: \"model.ckpt-1\"".utf8), ["TensorFlow checkpoint"]
    ),
    ("npy", [0x93] + Array("NUMPY".utf8) + [1, 0, 0, 0], ["NumPy array"]),
    ("gguf", Array("GGUF".utf8) + [3, 0, 0, 0], ["GGUF"]),
    ("pdf", Array("%PDF-1.7".utf8), ["a PDF document"]),
    ("jpeg", [0xFF, 0xD8, 0xFF, 0xE0, 0, 0, 0, 0], ["a JPEG image"]),
    ("png", [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A], ["a PNG image"]),
    ("webp", Array("RIFF".utf8) + [1, 2, 3, 4] + Array("WEBPVP8 ".utf8), ["a WebP image"]),
    ("video", [0, 0, 0, 0x20] + Array("ftypisom".utf8) + zeros(20), ["video"]),
    ("matroska", [0x1A, 0x45, 0xDF, 0xA3, 1, 2, 3, 4], ["Matroska"]),
    ("zeros", zeros(4096), ["nothing but zeros"]),
    (
      "unknown", (0..<64).map { UInt8(truncatingIfNeeded: 151 &+ $0 &* 37) },
      ["neither a safetensors nor a PyTorch"]
    ),
  ]

  private static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
  private static func padded(_ text: String, to count: Int) -> [UInt8] {
    Array(text.utf8) + zeros(count - text.utf8.count)
  }
  private static let hdf5: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]

  @Test(arguments: others.indices) func whatIsNoWeightsIsCalledByItsName(_ index: Int) throws {
    let (name, bytes, words) = Self.others[index]
    let file = "\(name).safetensors"
    try write(bytes, file)
    let message = message(file)
    #expect(message.hasPrefix(path(file)), "\(message)")
    for word in words { #expect(message.contains(word), "\(message)") }
    #expect(!message.contains("\n"))
    #expect(!message.contains("header would have"))
  }

  @Test func archivesAreCalledByWhatIsInThem() {
    func zip(_ name: String) -> String? {
      let bytes = [0x50, 0x4B, 3, 4] + Self.zeros(22) + [UInt8(name.utf8.count), 0, 0, 0]
      return FileKind(beginning: bytes + Array(name.utf8), size: 1000)?.description
    }
    #expect(zip("a/b/c.jpg") == "a zip archive that holds 'a/b/c.jpg': unpack it")
    #expect(zip("x.npy")?.hasPrefix("a NumPy archive (.npz)") == true)
    #expect(zip("model/data.pkl")?.hasPrefix("a PyTorch file") == true)
    #expect(zip("\u{1b}[31m.png")?.contains("\\u{1b}[31m.png") == true)
  }

  @Test func aTruncatedFileIsSaidToBeCutOff() throws {
    let whole = path("whole.safetensors")
    try Safetensors.write(
      [NamedTensor(name: "w", shape: [1000], values: [Float](repeating: 1, count: 1000))],
      to: whole)
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: whole)))
    try write(Array(bytes[..<(bytes.count / 2)]), "half.safetensors")
    #expect(
      message("half.safetensors").hasSuffix(
        "is truncated: its tensors end at byte \(bytes.count), but the file has \(bytes.count / 2) "
          + "bytes (tensor 'w' is not whole): the download or copy was cut off"),
      "\(message("half.safetensors"))")
    try write(Array(bytes[..<20]), "header.safetensors")
    #expect(message("header.safetensors").contains("cut off"))
  }

  @Test func foldersArePassedOnOrCalledWhatTheyAre() throws {
    func folder(_ name: String, _ files: [String]) throws {
      for file in files {
        let place = "\(path(name))/\(file)"
        try FileManager.default.createDirectory(
          atPath: DurableFile.folder(of: place), withIntermediateDirectories: true)
        try Safetensors.write(tensors, to: place)
      }
    }
    try folder("published", ["model.safetensors"])
    #expect(try WeightsFile.read(path("published")).tensors == tensors)
    try folder("half", ["model.safetensors", "optimizer.safetensors"])
    #expect(message("half").contains("no state.json"))
    try folder("run", ["checkpoints/best/model.safetensors"])
    #expect(message("run").contains("the folder of a run"))
    #expect(message("run").contains("run/checkpoints/best"))
    #expect(message("run/checkpoints").contains("name \(path("run"))/checkpoints/best"))
    try folder("images", ["a.png"])
    #expect(message("images").contains("it is a folder, not a checkpoint"))
  }

  /// None is waited for.
  @Test func whatIsNoFileAtAllIsCalledByItsName() throws {
    #expect(mkfifo(path("pipe"), 0o600) == 0)
    #expect(message("pipe").contains("it is a pipe, not a file of weights"))
    #expect(symlink("nowhere/at\nall", path("link")) == 0)
    #expect(message("link").contains("it is a link to nowhere/at\\u{a}all, which is not there"))
    #expect(throws: WeightsError.self) { try WeightsFile.read("/dev/zero") }
    let missing = #expect(throws: FileError.self) { try WeightsFile.read(path("missing")) }
    #expect(missing?.code == ENOENT)
  }

  // MARK: Metadata

  private func safetensors(metadata: String) throws {
    let header =
      "{\"__metadata__\":\(metadata),"
      + "\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"
    var bytes = [UInt8](repeating: 0, count: 8)
    for i in 0..<8 { bytes[i] = UInt8(truncatingIfNeeded: header.utf8.count >> (8 * i)) }
    try write(bytes + Array(header.utf8) + [0, 0, 0x80, 0x3F], "m.safetensors")
  }

  @Test func metadataOfNullIsNoneAndANumberInItIsNamed() throws {
    try safetensors(metadata: "null")
    let file = try WeightsFile.read(path("m.safetensors"))
    #expect(file.metadata.isEmpty && file.tensors[0].values == [1])
    for (text, words) in [
      (#"{"epoch":3}"#, ["'epoch'", "__metadata__"]), (#"{"a":null}"#, ["'a'", "__metadata__"]),
      ("3", ["__metadata__"]), (#"["a"]"#, ["__metadata__"]),
      (#"{"a":"b","a":"c"}"#, ["'a'", "__metadata__", "twice"]),
    ] {
      try safetensors(metadata: text)
      for word in words {
        #expect(message("m.safetensors").contains(word), "\(message("m.safetensors"))")
      }
    }
  }
}
