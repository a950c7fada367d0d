/// What a file is other than JPEG, PNG and PNM: told by its content, never by its name, so that it is
/// given to the right decoder (``format``), or a message can say what was found and what to do with it.
package struct MediaKind: Equatable, Sendable {
  /// As it stands after "it is": "a video (MP4)"; of pictures the bare name of the format, "TIFF".
  package let name: String
  /// What to do with it; nil for pictures.
  package let advice: String?

  /// Of a picture that can be read, its format.
  var format: ImageFormat? {
    switch name {
    case "WebP": .webP
    case "TIFF", "BigTIFF": .tiff
    case "BMP": .bmp
    case "GIF": .gif
    case "AVIF": .avif
    case "HEIC", "HEIF": .heif
    default: nil
    }
  }

  /// Whether it holds moving pictures.
  package var isVideo: Bool { name.hasPrefix("a video (") }

  /// What an error says of it, without the file's name.
  var detail: String {
    guard let advice else { return "\(name) is not supported; convert it to JPEG or PNG" }
    return "\(name), not an image; \(advice)"
  }

  /// Two or three words for counting files: "video (MP4)", "TIFF".
  var shortName: String {
    for article in ["an ", "a "] where name.hasPrefix(article) {
      return String(name.dropFirst(article.count))
    }
    return name
  }

  static func picture(_ name: String) -> MediaKind { MediaKind(name: name, advice: nil) }

  static func video(_ container: String) -> MediaKind {
    MediaKind(
      name: "a video (\(container))",
      advice: "take pictures out of it first, as with: ffmpeg -i VIDEO -vf fps=1 FOLDER/%05d.png")
  }

  static func sound(_ container: String) -> MediaKind {
    MediaKind(name: "a sound recording (\(container))", advice: "leave it out")
  }

  static func archive(_ format: String) -> MediaKind {
    MediaKind(name: "an archive (\(format))", advice: "unpack it first")
  }

  static func document(_ format: String) -> MediaKind {
    MediaKind(name: "a \(format) document", advice: "take the pictures out of it first")
  }

  static func data(_ name: String) -> MediaKind { MediaKind(name: name, advice: "leave it out") }

  /// What the bytes of a file, or its first ones, are those of; nil if that is not known.
  package init?(of bytes: UnsafeRawBufferPointer) {
    let content = Content(bytes)
    let recognisers = [
      Self.isoMedia, Self.otherVideo, Self.cameraRaw, Self.otherPicture, Self.archive, Self.text,
      Self.otherData,
    ]
    for recognise in recognisers {
      if let kind = recognise(content) {
        self = kind
        return
      }
    }
    return nil
  }

  private init(name: String, advice: String?) {
    self.name = name
    self.advice = advice
  }
}

// MARK: - Content

/// The bytes of a file with the questions that recognising asks.
private struct Content {
  let bytes: UnsafeRawBufferPointer

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  func has(_ signature: [UInt8], at offset: Int = 0) -> Bool {
    bytes.count >= offset + signature.count
      && bytes[offset..<offset + signature.count].elementsEqual(signature)
  }

  func has(_ signature: StaticString, at offset: Int = 0) -> Bool {
    let length = signature.utf8CodeUnitCount
    return bytes.count >= offset + length
      && (0..<length).allSatisfy { bytes[offset + $0] == signature.utf8Start[$0] }
  }

  /// Whether the signature stands anywhere in the first `limit` bytes.
  func contains(_ signature: StaticString, within limit: Int) -> Bool {
    let last = min(limit, bytes.count) - signature.utf8CodeUnitCount
    return last >= 0 && (0...last).contains { has(signature, at: $0) }
  }

  /// The 4 bytes at `offset` as a text, such as the brand of an MP4.
  func code(at offset: Int) -> String {
    guard bytes.count >= offset + 4 else { return "" }
    return String(decoding: bytes[offset..<offset + 4], as: UTF8.self)
  }

  /// The number in 2 or 4 bytes; nil behind the end.
  func number(_ width: Int, at offset: Int, bigEndian: Bool) -> Int? {
    guard offset >= 0, bytes.count >= width, offset <= bytes.count - width else { return nil }
    let part = bytes[offset..<offset + width]
    return bigEndian
      ? part.reduce(0) { $0 << 8 | Int($1) } : part.reversed().reduce(0) { $0 << 8 | Int($1) }
  }

  /// The beginning in lower case, without a byte-order mark and white space before it.
  func beginning(of length: Int) -> [UInt8] {
    let start = has([0xEF, 0xBB, 0xBF]) ? 3 : 0
    return bytes.dropFirst(start).prefix(512)
      .drop { [0x20, 0x09, 0x0A, 0x0D].contains($0) }
      .prefix(length).map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
  }
}

// MARK: - Recognisers

extension MediaKind {
  /// MP4, QuickTime, HEIF and their relatives: boxes, of which the first is `ftyp` with the brands.
  private static func isoMedia(_ content: Content) -> MediaKind? {
    // The size of the first box. Of a text it would be larger.
    guard let size = content.number(4, at: 0, bigEndian: true), size < 0x0900_0000 else {
      return nil
    }
    guard content.has("ftyp", at: 4) else {
      // QuickTime of before 2001 has no brand.
      let boxes = ["moov", "mdat", "wide", "pnot"]
      return boxes.contains(content.code(at: 4)) ? video("MOV") : nil
    }
    let length = min(size, content.bytes.count, 256)
    var brands = [content.code(at: 8)]
    brands += stride(from: 16, to: max(16, length - 3), by: 4).map { content.code(at: $0) }
    if brands[0] == "crx " { return picture("CR3 (raw data of a camera)") }
    // The first that says what is in it; `mif1` and its kin only that it is a picture.
    for brand in brands {
      if ["avif", "avis"].contains(brand) { return picture("AVIF") }
      let isHEVC = ["heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs"]
        .contains(brand)
      if isHEVC { return picture("HEIC") }
    }
    if brands.contains(where: ["mif1", "msf1", "mif2"].contains) { return picture("HEIF") }
    if ["jp2 ", "jpx ", "jpm "].contains(brands[0]) { return picture("JPEG 2000") }
    if brands[0] == "jxl " { return picture("JPEG XL") }
    if ["M4A ", "M4B ", "M4P "].contains(brands[0]) { return sound("M4A") }
    if brands[0] == "qt  " { return video("MOV") }
    return video(brands[0].hasPrefix("3g") ? "3GP" : "MP4")
  }

  private static func otherVideo(_ content: Content) -> MediaKind? {
    if content.has([0x1A, 0x45, 0xDF, 0xA3]) {
      return video(content.contains("webm", within: 64) ? "WebM" : "MKV")
    }
    if content.has("RIFF") {
      if content.has("AVI ", at: 8) { return video("AVI") }
      if content.has("WAVE", at: 8) { return sound("WAV") }
      if content.has("WEBP", at: 8) { return picture("WebP") }
    }
    if content.has([0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11]) { return video("WMV") }
    if content.has([0x46, 0x4C, 0x56, 0x01]) { return video("FLV") }
    if content.has([0, 0, 1, 0xBA]) || content.has([0, 0, 1, 0xB3]) { return video("MPEG") }
    // Packets of 188 bytes, on discs with four more before each.
    for (start, packet) in [(0, 188), (4, 192)]
    where (0..<3).allSatisfy({ content.has([0x47], at: start + $0 * packet) }) {
      return video("MPEG-TS")
    }
    if content.has([0, 0, 0, 1, 0x67]) || content.has([0, 0, 0, 1, 0x40, 0x01]) {
      return video("H.264 or H.265 without a container")
    }
    if content.has("YUV4MPEG2 ") { return video("Y4M") }
    if content.has([0x4F, 0x67, 0x67, 0x53, 0]) {
      return content.contains("theora", within: 64) ? video("Ogg") : sound("Ogg")
    }
    if content.has([0x49, 0x44, 0x33, 2]) || content.has([0x49, 0x44, 0x33, 3])
      || content.has([0x49, 0x44, 0x33, 4])
    {
      return sound("MP3")
    }
    if content.has([0x66, 0x4C, 0x61, 0x43, 0]) { return sound("FLAC") }
    return nil
  }

  /// Raw data of cameras, most of which are TIFF files of a kind, and TIFF itself.
  private static func cameraRaw(_ content: Content) -> MediaKind? {
    func raw(_ name: String) -> MediaKind { picture("\(name) (raw data of a camera)") }
    if content.has("FUJIFILMCCD-RAW") { return raw("RAF") }
    if content.has([0x46, 0x4F, 0x56, 0x62, 0]) { return raw("X3F") }
    if content.has([0x49, 0x49, 0x55, 0]) { return raw("RW2") }
    if content.has("IIRO") || content.has("IIRS") || content.has("MMOR") { return raw("ORF") }
    guard content.has([0x49, 0x49, 42, 0]) || content.has([0x4D, 0x4D, 0, 42]) else {
      let isBig = content.has([0x49, 0x49, 43, 0]) || content.has([0x4D, 0x4D, 0, 43])
      return isBig ? picture("BigTIFF") : nil
    }
    if content.has([0x43, 0x52, 2, 0], at: 8) { return raw("CR2") }
    let isBig = content.has([0x4D])
    var maker: String?
    var isRaw = false
    if let folder = content.number(4, at: 4, bigEndian: isBig),
      let count = content.number(2, at: folder, bigEndian: isBig)
    {
      for entry in 0..<min(count, 200) {
        let place = folder + 2 + 12 * entry
        switch content.number(2, at: place, bigEndian: isBig) {
        case 0xC612: return raw("DNG")
        case 0x010F:
          let at = content.number(4, at: place + 8, bigEndian: isBig) ?? 0
          maker = content.code(at: min(at, content.bytes.count)).uppercased()
        // Folders below this one: where these cameras keep the data beside a small picture.
        case 0x014A: isRaw = true
        default: break
        }
      }
    }
    switch (isRaw, maker) {
    case (true, "NIKO"): return raw("NEF")
    case (true, "SONY"): return raw("ARW")
    case (true, "PENT"), (true, "RICO"): return raw("PEF")
    default: return picture("TIFF")
    }
  }

  private static func otherPicture(_ content: Content) -> MediaKind? {
    if content.has("GIF87a") || content.has("GIF89a") { return picture("GIF") }
    if content.has([0xFF, 0x0A])
      || content.has([0, 0, 0, 0x0C, 0x4A, 0x58, 0x4C, 0x20, 0x0D, 0x0A, 0x87, 0x0A])
    {
      return picture("JPEG XL")
    }
    if content.has([0xFF, 0x4F, 0xFF, 0x51])
      || content.has([0, 0, 0, 0x0C, 0x6A, 0x50, 0x20, 0x20, 0x0D, 0x0A, 0x87, 0x0A])
    {
      return picture("JPEG 2000")
    }
    if content.has("BM"), content.bytes.count >= 14,
      content.has([0, 0, 0, 0], at: 6)
        || content.number(4, at: 14, bigEndian: false).map(BMPDecoder.headerSizes.contains) == true
    {
      return picture("BMP")
    }
    if content.has([0x38, 0x42, 0x50, 0x53, 0, 1]) || content.has([0x38, 0x42, 0x50, 0x53, 0, 2]) {
      return picture("Photoshop's PSD")
    }
    if content.has("gimp xcf ") { return picture("GIMP's XCF") }
    if content.has([0, 0, 1, 0]), let count = content.number(2, at: 4, bigEndian: false),
      (1...64).contains(count), content.has([0], at: 9)
    {
      return picture("ICO")
    }
    if content.has([0x76, 0x2F, 0x31, 0x01]) { return picture("OpenEXR") }
    if content.has("#?RADIANCE\n") || content.has("#?RGBE\n") { return picture("Radiance HDR") }
    if content.has([0x44, 0x44, 0x53, 0x20, 124, 0, 0, 0]) { return picture("DDS") }
    if content.has("qoif"), content.has([3], at: 12) || content.has([4], at: 12) {
      return picture("QOI")
    }
    if content.has([0x42, 0x50, 0x47, 0xFB]) { return picture("BPG") }
    if content.has("DICM", at: 128) { return picture("DICOM") }
    return nil
  }

  private static func archive(_ content: Content) -> MediaKind? {
    if content.has([0x50, 0x4B, 3, 4]) || content.has([0x50, 0x4B, 5, 6]) {
      return archive("ZIP")
    }
    if content.has([0x1F, 0x8B, 8]) { return archive("gzip") }
    if content.has("BZh"), content.has([0x31, 0x41, 0x59, 0x26], at: 4) { return archive("bzip2") }
    if content.has([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0]) { return archive("xz") }
    if content.has([0x28, 0xB5, 0x2F, 0xFD]) { return archive("Zstandard") }
    if content.has([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C]) { return archive("7z") }
    if content.has([0x52, 0x61, 0x72, 0x21, 0x1A, 7]) { return archive("RAR") }
    if content.has("ustar", at: 257) { return archive("tar") }
    return nil
  }

  private static func text(_ content: Content) -> MediaKind? {
    if content.contains("%PDF-", within: 16) { return document("PDF") }
    if content.has("%!PS") || content.has([0xC5, 0xD0, 0xD3, 0xC6]) {
      return document("PostScript")
    }
    if content.has("{\\rtf") { return document("RTF") }
    if content.has([0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]) {
      return document("Microsoft Office")
    }
    if content.has("version https://git-lfs.github.com/spec/") {
      return MediaKind(
        name: "a pointer of Git LFS",
        advice: "the image itself was not fetched: run git lfs pull in its repository")
    }
    if content.has("/annex/objects/") {
      return MediaKind(
        name: "a pointer of git-annex",
        advice: "the image itself was not fetched: run git annex get in its repository")
    }
    let beginning = content.beginning(of: 14)
    for page in ["<!doctype html", "<html", "<head", "<body"]
    where beginning.starts(with: page.utf8) {
      return MediaKind(
        name: "a web page (HTML)",
        advice: "what was to be downloaded was not the file but a page about it: fetch it anew")
    }
    if beginning.starts(with: "<svg".utf8)
      || beginning.starts(with: "<?xml".utf8) && content.contains("<svg", within: 4096)
    {
      return picture("SVG")
    }
    if beginning.starts(with: "<?xml".utf8) { return data("an XML file") }
    return nil
  }

  private static func otherData(_ content: Content) -> MediaKind? {
    if content.has([0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]) {
      return MediaKind(
        name: "an HDF5 file",
        advice: "if it is a shard, give it to a command that takes --data, such as rfm evaluate")
    }
    if content.has([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]) { return data("an array of NumPy") }
    if content.has([0x53, 0x51, 0x4C, 0x69, 0x74, 0x65, 0x20, 0x66]) {
      return data("an SQLite database")
    }
    if content.has([0x7F, 0x45, 0x4C, 0x46]) { return data("a program") }
    if content.has([0x50, 0x41, 0x52, 0x31, 0x15]) { return data("a Parquet table") }
    if content.has([0, 5, 0x16, 7]) || content.has([0, 5, 0x16, 0]) {
      return data("a side file of macOS (AppleDouble)")
    }
    if content.bytes.count >= 512, content.bytes.prefix(4096).allSatisfy({ $0 == 0 }) {
      return MediaKind(
        name: "nothing but zeros at its beginning",
        advice: "it was not copied or downloaded to its end: fetch it anew")
    }
    return nil
  }
}
