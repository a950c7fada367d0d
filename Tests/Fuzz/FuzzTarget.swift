import Checkpoints
import Configuration
import Evaluation
import Foundation
import Foundations

@testable import FaceShards
@testable import Images
@testable import Networks

/// What can be fuzzed. Every parser must end each input with a value or an error, in bounded memory
/// and time, and what it says of the input must be fit for a terminal.
enum FuzzTarget: String, CaseIterable {
  case arguments
  case avif
  case bmp
  case checkpoint
  case configuration
  case exif
  case gif
  case heif
  case jpeg
  case json
  case layout
  case layoutList = "layout-list"
  case layoutMapping = "layout-mapping"
  case layoutMetadata = "layout-metadata"
  case layoutSplits = "layout-splits"
  case metrics
  case png
  case pnm
  case profile
  case prototypes
  case pytorch
  case safetensors
  case shard
  case tiff
  case webp
  case weightsIndex = "weights-index"
  case xmp

  /// Takes one input after another. What it throws at itself is a finding.
  func parser() -> (UnsafeRawBufferPointer) -> Void {
    switch self {
    case .arguments: { input in Self.arguments(String(decoding: input, as: UTF8.self)) }
    case .configuration: { input in Self.configuration(String(decoding: input, as: UTF8.self)) }
    case .json: { input in Self.json(Array(input)) }
    case .layout: { input in Self.layout(Array(input)) }
    case .layoutList: { input in Self.layoutList(Array(input)) }
    case .layoutMapping: { input in Self.layoutMapping(Array(input)) }
    case .layoutMetadata: { input in Self.layoutMetadata(Array(input)) }
    case .layoutSplits: { input in Self.layoutSplits(Array(input)) }
    case .exif:
      { input in
        _ = ExifOrientation.ofJPEG(input)
        _ = ExifOrientation.ofPNG(input)
      }
    case .profile:
      { input in
        guard let bytes = ExifOrientation.bytesOfProfile(Array(input)) else { return }
        precondition(2 * bytes.count <= input.count, "more bytes than digits")
        _ = bytes.withUnsafeBytes { ExifOrientation(tiff: $0) }
        _ = ExifOrientation(tiff: input)
      }
    case .xmp: { input in _ = ExifOrientation.ofXMP(input) }
    case .avif, .bmp, .gif, .heif, .jpeg, .png, .pnm, .tiff, .webp:
      { input in Self.image(input) }
    case .checkpoint: Self.onFile("state.json", of: Self.withDigest) { Self.checkpoint($0) }
    case .metrics:
      Self.onFile("metrics.jsonl") { path in Self.attempt { try MetricsFile.read(path) } }
    case .prototypes:
      Self.onFile("prototypes.h5") { path in
        Self.attempt { try PrototypesFile(reading: path) }
        Self.inspect(path)
      }
    case .pytorch:
      Self.onFile("weights.pth") { path in
        let read = Self.attempt { try PyTorchFile.read(path, maximumBytes: 1 << 24) }
        for note in read?.notes ?? [] { Self.requireFitForTerminal(note) }
        for tensor in read?.tensors ?? [] {
          precondition(
            tensor.shape.reduce(1, *) == tensor.values.count, "a tensor without its values")
        }
      }
    case .safetensors:
      Self.onFile("weights.safetensors") { path in
        Self.attempt { try Safetensors.read(path, maximumBytes: 1 << 24) }
        Self.inspect(path)
      }
    case .shard:
      Self.onFile("shard.h5") { path in
        Self.attempt { try Self.readAll(Shard(reading: path)) }
        Self.inspect(path)
      }
    case .weightsIndex:
      Self.onFile("model.safetensors.index.json") { path in Self.weightsIndex(path) }
    }
  }

  // MARK: Texts

  private static func arguments(_ text: String) {
    let lines = text.split(separator: "\n").map(String.init)
    attempt { try Configuration.parse("data: {train: t}", name: "c.yaml", overrides: lines) }
    for line in lines {
      attempt { try SplitShares(parsing: line) }
      requireFitForTerminal(printable(line))
    }
  }

  private static func configuration(_ text: String) {
    guard let read = attempt({ try Configuration.parse(text, name: "c.yaml") }) else { return }
    // What is written reads back as the same.
    guard let again = try? Configuration.parse(read.yaml, name: "c.yaml"), again == read else {
      fatalError("another configuration was read from:\n\(read.yaml)")
    }
  }

  private static func json(_ bytes: [UInt8]) {
    guard let value = attempt({ try JSON(parsing: bytes) }) else { return }
    for text in [try? value.line(), try? value.page()] {
      guard let text, let again = try? JSON(parsing: text.utf8), again == value else {
        fatalError("another value was read from \(text ?? "nothing")")
      }
    }
  }

  // MARK: Images

  private static func image(_ input: UnsafeRawBufferPointer) {
    var limits = DecodingLimits()
    limits.maximumPixels = 1 << 22
    limits.wholePixels = 1 << 16
    limits.maximumSide = 1 << 16
    limits.libraryMemory = 32 << 20
    guard let image = attempt({ try ImageDecoder.decode(bytes: input, name: "i", limits: limits) })
    else { return }
    // Averaging blocks rounds up along both sides.
    precondition(image.pixels.count <= 4 * 3 * limits.wholePixels, "more pixels than allowed")
  }

  // MARK: Files

  /// Puts every input into a file of its own process.
  private static func onFile(
    _ name: String, of change: @escaping ([UInt8]) -> [UInt8]? = { $0 },
    _ body: @escaping (String) -> Void
  ) -> (UnsafeRawBufferPointer) -> Void {
    let shared = "/dev/shm"
    let base =
      FileManager.default.isWritableFile(atPath: shared)
      ? shared : FileManager.default.temporaryDirectory.path
    let folder = "\(base)/rfm-fuzz-\(getpid())"
    removeAtExit(folder)
    return { input in
      guard let bytes = change(Array(input)) else { return }
      do {
        try DurableFile.makeFolder(folder)
        let writer = try FileWriter(creating: "\(folder)/\(name)")
        try bytes.withUnsafeBytes { try writer.write($0) }
      } catch {
        fatalError("\(error)")
      }
      body("\(folder)/\(name)")
    }
  }

  nonisolated(unsafe) private static var folderToRemove = ""

  private static func removeAtExit(_ folder: String) {
    folderToRemove = folder
    atexit { try? FileManager.default.removeItem(atPath: FuzzTarget.folderToRemove) }
  }

  /// A state with the digest that belongs to it: nothing else would get past the first check.
  private static func withDigest(_ bytes: [UInt8]) -> [UInt8]? {
    guard var members = (try? JSON(parsing: bytes))?.members else { return bytes }
    members.removeAll { $0.name == "digest" }
    guard let text = try? JSON.object(members).line() else { return bytes }
    members.append(.init("digest", .text(SHA256.hexadecimal(of: Array(text.utf8)))))
    return (try? JSON.object(members).line()).map { Array($0.utf8) }
  }

  private static func checkpoint(_ path: String) {
    attempt { try Checkpoint(opening: DurableFile.folder(of: path)) }
    inspect(DurableFile.folder(of: path))
  }

  private static let detector = Detector(.xceptionTiny)
  private static let shapes = Dictionary(
    detector.weights().map { ($0.name, $0.shape) }, uniquingKeysWith: { $1 })

  /// An index beside a part that it may name, and the names in it as those of a detector.
  private static func weightsIndex(_ path: String) {
    let part = DurableFile.folder(of: path) + "/part"
    if !FileManager.default.fileExists(atPath: part) {
      attempt {
        try Safetensors.write([NamedTensor(name: "w", shape: [1], values: [1])], to: part)
      }
    }
    attempt { try WeightsFile.read(path, maximumBytes: 1 << 24) }
    inspect(path)
    guard let bytes = FileManager.default.contents(atPath: path),
      let index = attempt({ try WeightsIndex(parsing: Array(bytes)) })
    else { return }
    // Names as they stand there, of the shape that a layer of that name has.
    let tensors = index.parts.values.joined().prefix(5000).map { name in
      // A name's last parts, as many as a layer's name may have.
      let parts = name.split(separator: ".").suffix(5)
      let own = parts.indices.lazy.compactMap { shapes[parts[$0...].joined(separator: ".")] }.first
      let shape = own ?? [1]
      return NamedTensor(
        name: name, shape: shape, values: [Float](repeating: 0, count: shape.reduce(1, *)))
    }
    attempt { try detector.load(tensors, from: "index", seed: 0) }
    let named = Dictionary(tensors.map { ($0.name, $0.shape) }, uniquingKeysWith: { $1 })
    _ = WeightsDescription(of: named)
    _ = WeightsDifference(nearestTo: named)?.lines
  }

  private static func readAll(_ shard: Shard) throws {
    _ = try shard.readSources()
    _ = try shard.readPaths()
    let pixels = shard.height * shard.width
    guard pixels <= 1 << 20 else { return }
    var image = [UInt8](repeating: 0, count: pixels * 3)
    for row in 0..<min(4, shard.count) {
      try image.withUnsafeMutableBufferPointer { try shard.readImage(row, into: $0) }
      if shard.hasMasks {
        var mask = [UInt8](repeating: 0, count: pixels)
        try mask.withUnsafeMutableBufferPointer { try shard.readMask(row, into: $0) }
      }
    }
  }

  private static func inspect(_ path: String) {
    let inspection = FileInspection(of: path, depth: .init(verifies: true))
    for line in inspection.lines + inspection.problems { requireFitForTerminal(line) }
  }

  // MARK: What is required

  /// The value, or nil where an error was thrown, which must have a description.
  @discardableResult
  static func attempt<T>(_ body: () throws -> T) -> T? {
    do {
      return try body()
    } catch {
      // Shown through `printable`, as rfm's own main function does.
      let text = printable("\(error)", limit: 2000)
      precondition(!text.isEmpty, "an error without a description")
      requireFitForTerminal(text)
      return nil
    }
  }

  static func requireFitForTerminal(_ line: String) {
    for scalar in line.unicodeScalars {
      precondition(
        !scalar.disturbsTerminals,
        "a character that disturbs terminals in: \(line.debugDescription)")
    }
  }
}
