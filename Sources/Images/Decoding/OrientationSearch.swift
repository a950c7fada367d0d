import CPNG

/// Where files say how the camera was held. EXIF comes first; where it has no such tag, or there is
/// no EXIF, XMP is asked. The same places in the same order as Pillow's `ImageOps.exif_transpose`, so
/// that a picture is turned here exactly if it is there.
extension ExifOrientation {
  private static let exifHeader = Array("Exif\0\0".utf8)

  // MARK: Containers that keep both apart

  /// Of a container that holds EXIF data, with a header or without, and a packet of XMP.
  static func of(exif: UnsafeRawBufferPointer?, xmp: UnsafeRawBufferPointer?) -> ExifOrientation {
    exif.flatMap { ofEXIF(Array($0)) } ?? xmp.flatMap(ofXMP) ?? .upright
  }

  // MARK: JPEG

  /// From the segments APP1 before the picture's data: EXIF, which may go on in further segments, or
  /// the last packet of XMP.
  static func ofJPEG(_ bytes: UnsafeRawBufferPointer) -> ExifOrientation {
    let xmpHeader = Array("http://ns.adobe.com/xap/1.0/\0".utf8)
    var exif: [UInt8] = []
    var xmp: Range<Int>?
    var position = 2
    while position + 4 <= bytes.count {
      guard bytes[position] == 0xFF else {
        position += 1
        continue
      }
      let marker = bytes[position + 1]
      switch marker {
      case 0xFF:  // padding
        position += 1
        continue
      case 0x00, 0x01, 0xD0...0xD9:  // markers without content, and what is none
        position += 2
        continue
      default: break
      }
      if marker == 0xDA { break }
      let length = Int(bytes[position + 2]) << 8 | Int(bytes[position + 3])
      guard length >= 2, position + 2 + length <= bytes.count else { break }
      let content = position + 4..<position + 2 + length
      if marker == 0xE1 {
        if bytes[content].starts(with: exifHeader) {
          exif.append(contentsOf: bytes[exif.isEmpty ? content : content.dropFirst(6)])
        } else if bytes[content].starts(with: xmpHeader) {
          xmp = content.lowerBound + xmpHeader.count..<content.upperBound
        }
      }
      position += 2 + length
    }
    return ofEXIF(exif)
      ?? xmp.flatMap { ofXMP(UnsafeRawBufferPointer(rebasing: bytes[$0])) } ?? .upright
  }

  /// Of EXIF data with their header, which some programs write twice.
  static func ofEXIF(_ content: [UInt8]) -> ExifOrientation? {
    var tiff = content[...]
    for _ in 0..<2 where tiff.starts(with: exifHeader) { tiff = tiff.dropFirst(6) }
    return tiff.withUnsafeBytes { ExifOrientation(tiff: $0) }
  }

  // MARK: PNG

  /// From the chunks before and after the picture's data: `eXIf` (or a text called "exif"), else
  /// ImageMagick's "Raw profile type exif"; and the text "XML:com.adobe.xmp". Of several the last.
  static func ofPNG(_ bytes: UnsafeRawBufferPointer) -> ExifOrientation {
    var exif: [UInt8]?
    var texts = PNGTexts()
    var position = 8
    while position + 12 <= bytes.count {
      let length = (0..<4).reduce(0) { $0 << 8 | Int(bytes[position + $1]) }
      guard length <= bytes.count - position - 12 else { break }
      let kind = bytes[position + 4..<position + 8]
      let content = UnsafeRawBufferPointer(
        rebasing: bytes[position + 8..<position + 8 + length])
      if kind.elementsEqual("IEND".utf8) { break }
      if kind.elementsEqual("eXIf".utf8) {
        exif = exifHeader + content
      } else if kind.elementsEqual("tEXt".utf8) {
        let (key, text) = PNGTexts.split(content)
        if key.elementsEqual("exif".utf8) { exif = Array(text) }
        texts.add(key, text)
      } else if kind.elementsEqual("zTXt".utf8) {
        texts.addCompressed(content)
      } else if kind.elementsEqual("iTXt".utf8) {
        texts.addInternational(content)
      }
      position += 12 + length
    }
    return (exif ?? texts.profile.flatMap(bytesOfProfile)).flatMap { ofEXIF($0) }
      ?? texts.xmp.flatMap { $0.withUnsafeBytes(ofXMP) } ?? .upright
  }

  /// The bytes of a raw profile as ImageMagick writes it: a line without content, one with the kind of
  /// profile, one with the number of bytes, and lines of hexadecimal digits. Nil if it is none.
  static func bytesOfProfile(_ text: [UInt8]) -> [UInt8]? {
    let lines = text.split(
      separator: UInt8(ascii: "\n"), maxSplits: 3, omittingEmptySubsequences: false)
    guard lines.count == 4 else { return [] }
    func digit(_ byte: UInt8) -> UInt8? {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
      default: nil
      }
    }
    var bytes: [UInt8] = []
    var high: UInt8?
    for byte in lines[3] where byte != UInt8(ascii: "\n") {
      if high == nil, PNMDecoder.isSpace(byte) { continue }
      guard let value = digit(byte) else { return nil }
      if let first = high {
        bytes.append(first << 4 | value)
        high = nil
      } else {
        high = value
      }
    }
    return high == nil ? bytes : nil
  }

  // MARK: XMP

  /// The first `tiff:Orientation="6"` or `tiff:Orientation>6` with a digit; nil where there is none.
  /// No XML is parsed: this is how the two forms that programs write look.
  static func ofXMP(_ packet: UnsafeRawBufferPointer) -> ExifOrientation? {
    let name = Array("tiff:Orientation".utf8)
    var position = 0
    while position + name.count + 2 <= packet.count {
      guard packet[position] == name[0], packet[position...].starts(with: name) else {
        position += 1
        continue
      }
      position += name.count
      var digit = position
      if packet[digit] == UInt8(ascii: ">") {
        digit += 1
      } else if packet[digit] == UInt8(ascii: "="), packet[digit + 1] == UInt8(ascii: "\"") {
        digit += 2
      } else {
        continue
      }
      guard digit < packet.count else { return nil }
      if (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(packet[digit]) {
        return ExifOrientation(rawValue: Int(packet[digit]) - 48) ?? .upright
      }
    }
    return nil
  }
}

/// The texts of a PNG that may hold an orientation.
private struct PNGTexts {
  private static let profileKey = Array("Raw profile type exif".utf8)
  private static let xmpKey = Array("XML:com.adobe.xmp".utf8)
  /// A longer text is left aside, as is any once so much was unpacked for this file.
  private static let maximumText = 1 << 20
  private static let maximumUnpacked = 16 << 20

  /// The last raw profile.
  private(set) var profile: [UInt8]?
  /// The last text in XMP's name, and the last that is in a chunk `iTXt`, whether it is UTF-8 or not.
  private var text: [UInt8]?
  private var packet: [UInt8]?
  private var unpacked = 0

  /// The XMP packet.
  var xmp: [UInt8]? { text.flatMap { $0.isEmpty ? nil : $0 } ?? packet }

  /// What stands before the first zero byte, and after it.
  static func split(
    _ bytes: UnsafeRawBufferPointer
  ) -> (UnsafeRawBufferPointer, UnsafeRawBufferPointer) {
    let end = bytes.firstIndex(of: 0) ?? bytes.count
    return (
      UnsafeRawBufferPointer(rebasing: bytes[..<end]),
      UnsafeRawBufferPointer(rebasing: bytes[min(end + 1, bytes.count)...])
    )
  }

  private static func isWanted(_ key: UnsafeRawBufferPointer) -> Bool {
    key.elementsEqual(profileKey) || key.elementsEqual(xmpKey)
  }

  mutating func add(_ key: UnsafeRawBufferPointer, _ value: some Sequence<UInt8>) {
    if key.elementsEqual(Self.profileKey) {
      profile = Array(value)
    } else if key.elementsEqual(Self.xmpKey) {
      text = Array(value)
    }
  }

  /// Of a chunk `zTXt`: name, 0, method, data.
  mutating func addCompressed(_ content: UnsafeRawBufferPointer) {
    let (key, rest) = Self.split(content)
    guard Self.isWanted(key), (rest.first ?? 0) == 0 else { return }
    guard let value = unpack(UnsafeRawBufferPointer(rebasing: rest.dropFirst()), orElse: []) else {
      return
    }
    add(key, value)
  }

  /// Of a chunk `iTXt`: name, 0, whether compressed, method, language, 0, translated name, 0, text.
  mutating func addInternational(_ content: UnsafeRawBufferPointer) {
    let (key, rest) = Self.split(content)
    guard Self.isWanted(key), rest.count >= 2 else { return }
    let (language, others) = Self.split(UnsafeRawBufferPointer(rebasing: rest.dropFirst(2)))
    let (translated, stored) = Self.split(others)
    // Both zero bytes must be there.
    guard 2 + language.count + 1 + translated.count + 1 + stored.count == rest.count else { return }
    var value = Array(stored)
    if rest[0] != 0 {
      guard rest[1] == 0, let plain = unpack(stored, orElse: nil) else { return }
      value = plain
    }
    if key.elementsEqual(Self.xmpKey) { packet = value }
    let texts = [Array(language), Array(translated), value]
    if texts.allSatisfy({ String(validating: $0, as: UTF8.self) != nil }) { add(key, value) }
  }

  /// The text in compressed data; `damaged` where they are none, nil where it is too long.
  private mutating func unpack(
    _ bytes: UnsafeRawBufferPointer, orElse damaged: [UInt8]?
  ) -> [UInt8]? {
    guard unpacked < Self.maximumUnpacked else { return nil }
    var status = RFM_PNG_OK
    let text = [UInt8](unsafeUninitializedCapacity: Self.maximumText) { buffer, count in
      status = rfm_png_inflate(
        bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, buffer.baseAddress,
        buffer.count, &count)
    }
    unpacked += text.count
    switch status {
    case RFM_PNG_OK: return text
    case RFM_PNG_DAMAGED: return damaged
    default: return nil
    }
  }
}
