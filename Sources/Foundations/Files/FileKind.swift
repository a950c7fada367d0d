import Glibc

/// What a file is by its first bytes, for messages: people give web pages, archives and pointers as
/// weights, and a message helps that calls them so.
///
/// Only what is recognised surely is named. Nothing here decides how a file is read.
public struct FileKind: Sendable, Equatable {
  /// With its article, such as "a web page".
  public let name: String
  /// What to do, where that is known; begins with a verb.
  public let advice: String?

  init(_ name: String, _ advice: String? = nil) {
    self.name = name
    self.advice = advice
  }

  /// Bytes of a beginning that are enough for ``init(beginning:size:)``.
  public static let enough = 1 << 16

  /// As a clause behind "it is": name and advice.
  public var description: String { advice.map { "\(name): \($0)" } ?? name }

  // MARK: Recognising

  /// - Parameters:
  ///   - beginning: the first ``enough`` bytes of a file, or all if there are fewer.
  ///   - size: how many bytes the file has.
  /// - Returns: nil if the bytes are none of a known kind.
  public init?(beginning: [UInt8], size: Int) {
    guard !beginning.isEmpty else {
      self.init("empty", "download or copy it again")
      return
    }
    // First: the length that such a file begins with may look like anything.
    guard !Self.isSafetensors(beginning) else {
      self.init("a safetensors file")
      return
    }
    let found =
      Self.pointer(beginning) ?? Self.hdf5(beginning) ?? Self.signature(beginning)
      ?? Self.archive(beginning, size) ?? Self.container(beginning) ?? Self.protobuf(beginning)
      ?? Self.text(beginning) ?? Self.nothing(beginning)
    guard let found else { return nil }
    self = found
  }

  /// Reads what is enough of a file; see ``init(beginning:size:)``.
  /// - Throws: ``FileError``.
  public static func of(_ path: String) throws -> FileKind? {
    let reader = try FileReader(opening: path)
    return FileKind(beginning: try beginning(of: reader), size: reader.size)
  }

  /// The first ``enough`` bytes of a file.
  /// - Throws: ``FileError``.
  package static func beginning(of reader: borrowing FileReader) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: min(enough, reader.size))
    let count = try bytes.withUnsafeMutableBytes { try reader.read(into: $0, at: 0) }
    return Array(bytes[..<count])
  }

  /// What stands at a path where no regular file does, such as a pipe; nil for a file, a folder, or
  /// nothing at all. Nothing is opened.
  public static func notAFile(_ path: String) -> String? {
    var status = stat()
    if stat(path, &status) != 0 {
      guard errno == ENOENT || errno == ELOOP, lstat(path, &status) == 0,
        status.st_mode & S_IFMT == S_IFLNK
      else { return nil }
      var target = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
      let length = readlink(path, &target, Int(PATH_MAX))
      let bytes = target.prefix(max(0, length)).map { UInt8(truncatingIfNeeded: $0) }
      let name = String(decoding: bytes, as: UTF8.self)
      return "a link to \(printable(name, limit: 400)), which is not there"
    }
    switch status.st_mode & S_IFMT {
    case S_IFIFO: return "a pipe"
    case S_IFSOCK: return "a socket"
    case S_IFCHR, S_IFBLK: return "a device"
    default: return nil
    }
  }

  /// A safetensors file's header has fewer bytes.
  package static let largestSafetensorsHeader = 16 << 20

  /// Whether a beginning is that of a safetensors file: the length of a header, and its brace.
  package static func isSafetensors(_ bytes: [UInt8]) -> Bool {
    guard bytes.count > 8, bytes[8] == UInt8(ascii: "{") else { return false }
    let length = bytes[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return length <= UInt64(largestSafetensorsHeader)
  }

  // MARK: Tables

  private static func ascii(_ text: String) -> [UInt8] { Array(text.utf8) }

  /// Kinds with fixed bytes at a fixed place.
  private static let signatures: [(bytes: [UInt8], at: Int, kind: FileKind)] = [
    ([0xFF, 0xD8, 0xFF], 0, .init("a JPEG image")),
    ([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A], 0, .init("a PNG image")),
    (ascii("GIF87a"), 0, .init("a GIF image")), (ascii("GIF89a"), 0, .init("a GIF image")),
    ([0x49, 0x49, 0x2A, 0x00], 0, .init("a TIFF image")),
    ([0x4D, 0x4D, 0x00, 0x2A], 0, .init("a TIFF image")),
    ([0xFF, 0x0A], 0, .init("a JPEG XL image")),
    (
      [0, 0, 0, 0x0C, 0x4A, 0x58, 0x4C, 0x20, 0x0D, 0x0A, 0x87, 0x0A], 0,
      .init("a JPEG XL image")
    ),
    (
      [0, 0, 0, 0x0C, 0x6A, 0x50, 0x20, 0x20, 0x0D, 0x0A, 0x87, 0x0A], 0,
      .init("a JPEG 2000 image")
    ),
    (ascii("8BPS"), 0, .init("a Photoshop image")),
    ([0x1A, 0x45, 0xDF, 0xA3], 0, .init("a Matroska or WebM video")),
    (ascii("FLV\u{1}"), 0, .init("a Flash video")),
    ([0, 0, 1, 0xBA], 0, .init("an MPEG video")), ([0, 0, 1, 0xB3], 0, .init("an MPEG video")),
    (ascii("OggS"), 0, .init("an Ogg video or sound")), (ascii("ID3"), 0, .init("an MP3 sound")),
    (ascii("%PDF-"), 0, .init("a PDF document")),
    ([0x1F, 0x8B], 0, .init("a gzip archive", "unpack it (gunzip, or tar -xzf)")),
    (ascii("BZh"), 0, .init("a bzip2 archive", "unpack it (bunzip2, or tar -xjf)")),
    (
      [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], 0, .init("an xz archive", "unpack it (unxz, or tar -xJf)")
    ),
    ([0x28, 0xB5, 0x2F, 0xFD], 0, .init("a Zstandard archive", "unpack it (unzstd)")),
    ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], 0, .init("a 7-Zip archive", "unpack it")),
    (ascii("Rar!\u{1A}\u{7}"), 0, .init("a RAR archive", "unpack it")),
    ([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59], 0, .init("a NumPy array (.npy)", numpy)),
    (ascii("GGUF"), 0, .init("a GGUF file of a language model")),
    (ascii("TFL3"), 4, .init("a TensorFlow Lite model")),
    (ascii("model_checkpoint_path:"), 0, tensorFlow),
    (ascii("PAR1"), 0, .init("a Parquet table")), (ascii("ARROW1"), 0, .init("an Arrow table")),
    (ascii("SQLite format 3"), 0, .init("an SQLite data base")),
    (ascii("MATLAB 5.0"), 0, .init("a MATLAB file")),
    ([0x7F, 0x45, 0x4C, 0x46], 0, .init("a program or library (ELF)")),
    (ascii("MZ"), 0, .init("a program for Windows")),
    (ascii("#!"), 0, .init("a script")),
    ([0x0B, 0x0E, 0xCA, 0xCE], 0, .init("a Keras file")),
  ]

  private static let numpy =
    "save its arrays under their names with safetensors.numpy.save_file"
  private static let toSafetensors =
    "load the model where it was made and write its state dictionary with "
    + "safetensors.torch.save_file(model.state_dict(), 'm.safetensors')"
  private static let tensorFlow = FileKind("a TensorFlow checkpoint", toSafetensors)

  private static func signature(_ bytes: [UInt8]) -> FileKind? {
    signatures.first { bytes.dropFirst($0.at).starts(with: $0.bytes) }?.kind
  }

  private static func pointer(_ bytes: [UInt8]) -> FileKind? {
    guard bytes.starts(with: ascii("version https://git-lfs.github.com/spec/")) else { return nil }
    let lines = String(decoding: bytes.prefix(1024), as: UTF8.self).split(separator: "\n")
    let size = lines.first { $0.hasPrefix("size ") }?.dropFirst(5)
    return FileKind(
      "a Git LFS pointer" + (size.map { " to a file of \(printable($0, limit: 20)) bytes" } ?? ""),
      "fetch the file itself with 'git lfs pull'")
  }

  private static func archive(_ bytes: [UInt8], _ size: Int) -> FileKind? {
    if bytes.starts(with: [0x50, 0x4B, 0x03, 0x04]) || bytes.starts(with: [0x50, 0x4B, 0x05, 0x06])
    {
      return zip(bytes)
    }
    if bytes.dropFirst(257).starts(with: ascii("ustar")) || isOldTar(bytes, size) {
      let name = printable(String(decoding: bytes.prefix(100).prefix { $0 != 0 }, as: UTF8.self))
      return FileKind(
        "a tar archive" + (name.isEmpty ? "" : " that holds '\(name)'"), "unpack it (tar -xf)")
    }
    return nil
  }

  /// The kind by the name of the first file in it.
  private static func zip(_ bytes: [UInt8]) -> FileKind {
    guard bytes.count > 30, bytes[2] == 0x03 else { return FileKind("an empty zip archive") }
    let length = Int(bytes[26]) | Int(bytes[27]) << 8
    let name = String(decoding: bytes.dropFirst(30).prefix(length), as: UTF8.self)
    let ending = name.split(separator: ".").last.map { $0.lowercased() } ?? ""
    let base = name.split(separator: "/").last ?? ""
    switch ending {
    case "npy": return FileKind("a NumPy archive (.npz)", numpy)
    case "pkl" where base == "data.pkl":
      return FileKind("a PyTorch file, or the beginning of one")
    case "json" where ["config.json", "metadata.json"].contains(base):
      return FileKind("a Keras model (.keras)", toSafetensors)
    case "rels", "xml": return FileKind("an office document")
    default:
      return FileKind(
        "a zip archive" + (name.isEmpty ? "" : " that holds '\(printable(name))'"), "unpack it")
    }
  }

  /// A header of before 1988: a name, numbers in octal digits and their sum.
  private static func isOldTar(_ bytes: [UInt8], _ size: Int) -> Bool {
    guard bytes.count >= 512, size % 512 == 0, bytes[0] > 0x20 else { return false }
    let name = bytes[..<100]
    guard let end = name.firstIndex(of: 0), end > 0,
      name[..<end].allSatisfy({ $0 >= 0x20 && $0 != 0x7F }), name[end...].allSatisfy({ $0 == 0 })
    else { return false }
    if let digits = octal(bytes[148..<156]) {
      let sum = bytes[..<512].enumerated().reduce(0) {
        $0 + (148..<156 ~= $1.offset ? 0x20 : Int($1.element))
      }
      return sum == digits
    }
    // A block that has a name and nothing else.
    return bytes[100..<512].allSatisfy { $0 == 0 } && name[..<end].contains(UInt8(ascii: "."))
  }

  private static func octal(_ field: ArraySlice<UInt8>) -> Int? {
    let digits = field.filter { $0 != 0 && $0 != 0x20 }
    guard !digits.isEmpty, digits.count <= 8,
      digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "7")).contains($0) })
    else { return nil }
    return digits.reduce(0) { $0 * 8 + Int($1 - UInt8(ascii: "0")) }
  }

  /// The signature of HDF5 stands at the beginning, or behind a block of the user's.
  package static func isHDF5(_ bytes: [UInt8]) -> Bool {
    let signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]
    let places = [0] + (9..<16).map { 1 << $0 }
    return places.contains { bytes.dropFirst($0).starts(with: signature) }
  }

  private static func hdf5(_ bytes: [UInt8]) -> FileKind? {
    guard isHDF5(bytes) else { return nil }
    func says(_ text: String) -> Bool { contains(bytes, ascii(text)) }
    if says("rfm-shard") {
      return FileKind("a shard of images", "give it with --data, and a checkpoint here")
    }
    if says("rfm-prototypes") {
      return FileKind("a file of prototypes", "give it with --prototypes, and a checkpoint here")
    }
    if says("keras_version") || says("layer_names") || says("model_weights") {
      return FileKind("a Keras model (an HDF5 file)", toSafetensors)
    }
    return FileKind("an HDF5 file", "if it is a Keras model, \(toSafetensors)")
  }

  private static func contains(_ bytes: [UInt8], _ pattern: [UInt8]) -> Bool {
    guard bytes.count >= pattern.count else { return false }
    return (0...bytes.count - pattern.count).contains {
      bytes[$0] == pattern[0] && bytes[$0..<$0 + pattern.count].elementsEqual(pattern)
    }
  }

  /// Containers whose kind stands behind their first bytes.
  private static func container(_ bytes: [UInt8]) -> FileKind? {
    guard bytes.count >= 12 else { return nil }
    let kind = Array(bytes[8..<12])
    if bytes.starts(with: ascii("RIFF")) {
      switch String(decoding: kind, as: UTF8.self) {
      case "WEBP": return FileKind("a WebP image")
      case "AVI ": return FileKind("an AVI video")
      case "WAVE": return FileKind("a WAV sound")
      default: return nil
      }
    }
    if Array(bytes[4..<8]) == ascii("ftyp") {
      switch String(decoding: kind, as: UTF8.self) {
      case "avif", "avis": return FileKind("an AVIF image")
      case "heic", "heix", "hevc", "heim", "heis", "mif1", "msf1": return FileKind("a HEIF image")
      case "M4A ": return FileKind("an MPEG-4 sound")
      default: return FileKind("an MPEG-4 or QuickTime video")
      }
    }
    if ["moov", "mdat", "wide"].contains(String(decoding: bytes[4..<8], as: UTF8.self)) {
      return FileKind("a QuickTime video")
    }
    // Packets of 188 bytes, each with the same first one.
    if bytes.count > 188 * 3, (0...3).allSatisfy({ bytes[188 * $0] == 0x47 }) {
      return FileKind("an MPEG transport stream, a video")
    }
    if bytes.starts(with: ascii("BM")), bytes[6..<10].allSatisfy({ $0 == 0 }) {
      return FileKind("a BMP image")
    }
    return nil
  }

  /// ONNX begins with its version, a small number, and the name of what wrote it; a saved TensorFlow
  /// model with the version 1 and a graph.
  private static func protobuf(_ bytes: [UInt8]) -> FileKind? {
    guard bytes.count >= 8, bytes[0] == 0x08, (1...64).contains(bytes[1]) else { return nil }
    let advice =
      "rfm reads weights, not graphs; write the state dictionary of the model that was exported with "
      + "safetensors.torch.save_file(model.state_dict(), 'm.safetensors')"
    let onnx = FileKind("an ONNX model", advice)
    switch bytes[2] {
    case 0x12 where bytes[1] == 1 && bytes[3] & 0x80 != 0:
      return FileKind("a saved TensorFlow model", toSafetensors)
    case 0x12 where bytes[3] < 0x80:
      let producer = bytes.dropFirst(4).prefix(Int(bytes[3]))
      return producer.allSatisfy { (0x20..<0x7F).contains($0) } ? onnx : nil
    case 0x3A: return onnx
    default: return nil
    }
  }

  private static func text(_ bytes: [UInt8]) -> FileKind? {
    // Text has no control characters but those that lay it out, and is UTF-8 but for a character that
    // the end of what was read may cut.
    let beginning = bytes.prefix(4096)
    guard beginning.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || [9, 10, 13].contains($0) }),
      (0...3).contains(where: { String(validating: beginning.dropLast($0), as: UTF8.self) != nil })
    else { return nil }
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    let body = Array(beginning.starts(with: mark) ? beginning.dropFirst(3) : beginning)
      .drop { [9, 10, 13, 0x20].contains($0) }
    let words = String(decoding: body.prefix(64), as: UTF8.self).lowercased()
    if words.hasPrefix("<!doctype html") || words.hasPrefix("<html") || words.hasPrefix("<head") {
      return FileKind(
        "a web page, not what was to be downloaded",
        "open the address in a browser: it may ask for a login or a confirmation")
    }
    if words.hasPrefix("<?xml") || words.hasPrefix("<error") {
      return FileKind("an XML document, such as a server's answer that it refuses a download")
    }
    if body.first == UInt8(ascii: "{") || body.first == UInt8(ascii: "[") {
      return json
    }
    guard !body.isEmpty else { return FileKind("a text of spaces") }
    let start = String(decoding: body.prefix { $0 != 10 && $0 != 13 }.prefix(40), as: UTF8.self)
    return FileKind("a text that begins with '\(printable(start, limit: 40))'")
  }

  private static let json = FileKind("a JSON document")
  package var isJSON: Bool { self == Self.json }

  private static func nothing(_ bytes: [UInt8]) -> FileKind? {
    bytes.allSatisfy { $0 == 0 }
      ? FileKind("nothing but zeros", "download or copy it again") : nil
  }
}
