/// What a file is, by its first bytes.
package enum ImageFormat: Equatable {
  case jpeg, png, webP, tiff, bmp, gif, avif, heif, pnm, empty
  /// Something else, named if it is known.
  case other(MediaKind?)

  /// Those that are read, as a message lists them.
  package static let readable = "JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIF or PNM"

  /// Whether ``ImageDecoder`` reads it.
  package var isReadable: Bool {
    switch self {
    case .jpeg, .png, .webP, .tiff, .bmp, .gif, .avif, .heif, .pnm: true
    case .empty, .other: false
    }
  }

  package init(of bytes: UnsafeRawBufferPointer) {
    func has(_ signature: [UInt8], at offset: Int = 0) -> Bool {
      bytes.count >= offset + signature.count
        && bytes[offset..<offset + signature.count].elementsEqual(signature)
    }
    if bytes.isEmpty {
      self = .empty
    } else if has([0xFF, 0xD8, 0xFF]) {
      self = .jpeg
    } else if has([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
      self = .png
    } else if bytes.count >= 3, bytes[0] == UInt8(ascii: "P"),
      (UInt8(ascii: "1")...UInt8(ascii: "6")).contains(bytes[1]),
      PNMDecoder.isSpace(bytes[2]) || bytes[2] == UInt8(ascii: "#")
    {
      self = .pnm
    } else {
      // The containers are told by the same look that names what is none of these.
      let kind = MediaKind(of: bytes)
      self = kind.flatMap(\.format) ?? .other(kind)
    }
  }
}
