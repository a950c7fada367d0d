/// How a camera was held: the orientation tag (0x0112) of EXIF 2.3, section 4.6.4. The value says
/// where the stored first row and first column belong in the upright picture.
enum ExifOrientation: Int, CaseIterable {
  case upright = 1
  case mirrored, upsideDown, flipped, transposed, turnedRight, transversed, turnedLeft

  /// From the first APP1 segment with EXIF data before the picture's data.
  static func ofJPEG(_ bytes: UnsafeRawBufferPointer) -> ExifOrientation {
    var position = 2
    while position + 4 <= bytes.count, bytes[position] == 0xFF {
      let marker = bytes[position + 1]
      if marker == 0xFF {  // padding
        position += 1
        continue
      }
      if marker == 0x01 || (0xD0...0xD8).contains(marker) {  // markers without content
        position += 2
        continue
      }
      if marker == 0xDA || marker == 0xD9 { break }
      let length = Int(bytes[position + 2]) << 8 | Int(bytes[position + 3])
      guard length >= 2, position + 2 + length <= bytes.count else { break }
      if marker == 0xE1 {
        let content = bytes[position + 4..<position + 2 + length]
        if content.starts(with: exifHeader) {
          return ofTIFF(UnsafeRawBufferPointer(rebasing: content.dropFirst(6)))
        }
      }
      position += 2 + length
    }
    return .upright
  }

  /// From the chunk `eXIf`, before or after the picture's data.
  static func ofPNG(_ bytes: UnsafeRawBufferPointer) -> ExifOrientation {
    var position = 8
    while position + 12 <= bytes.count {
      let length = (0..<4).reduce(0) { $0 << 8 | Int(bytes[position + $1]) }
      guard length <= bytes.count - position - 12 else { break }
      let kind = bytes[position + 4..<position + 8]
      if kind.elementsEqual("IEND".utf8) { break }
      if kind.elementsEqual("eXIf".utf8) {
        var content = bytes[position + 8..<position + 8 + length]
        if content.starts(with: exifHeader) { content = content.dropFirst(6) }
        return ofTIFF(UnsafeRawBufferPointer(rebasing: content))
      }
      position += 12 + length
    }
    return .upright
  }

  private static let exifHeader = Array("Exif\0\0".utf8)

  /// The tag in the first directory of a TIFF structure; upright where there is none or it makes no
  /// sense.
  private static func ofTIFF(_ bytes: UnsafeRawBufferPointer) -> ExifOrientation {
    guard bytes.count >= 8 else { return .upright }
    let littleEndian: Bool
    switch (bytes[0], bytes[1]) {
    case (0x49, 0x49): littleEndian = true
    case (0x4D, 0x4D): littleEndian = false
    default: return .upright
    }
    func value(at offset: Int, bytes count: Int) -> Int? {
      guard offset >= 0, offset + count <= bytes.count else { return nil }
      return (0..<count).reduce(0) {
        $0 << 8 | Int(bytes[offset + (littleEndian ? count - 1 - $1 : $1)])
      }
    }
    guard value(at: 2, bytes: 2) == 42, let directory = value(at: 4, bytes: 4),
      let entries = value(at: directory, bytes: 2)
    else { return .upright }
    for entry in 0..<entries {
      let offset = directory + 2 + 12 * entry
      guard let tag = value(at: offset, bytes: 2), let type = value(at: offset + 2, bytes: 2) else {
        break
      }
      if tag == 0x0112 {
        let width = type == 4 ? 4 : 2
        guard type == 3 || type == 4, let stored = value(at: offset + 8, bytes: width) else {
          break
        }
        return ExifOrientation(rawValue: stored) ?? .upright
      }
    }
    return .upright
  }
}

extension RGBImage {
  /// The upright picture.
  func oriented(by orientation: ExifOrientation) -> RGBImage {
    if orientation == .upright { return self }
    // Source pixel of target (x, y): start + x · stepX + y · stepY.
    let (w, h) = (width, height)
    let (start, stepX, stepY): (Int, Int, Int) =
      switch orientation {
      case .upright: (0, 1, w)
      case .mirrored: (w - 1, -1, w)
      case .upsideDown: (w * h - 1, -1, -w)
      case .flipped: (w * (h - 1), 1, -w)
      case .transposed: (0, w, 1)
      case .turnedRight: (w * (h - 1), -w, 1)
      case .transversed: (w * h - 1, -w, -1)
      case .turnedLeft: (w - 1, w, -1)
      }
    let isTurned = orientation.rawValue >= 5
    let (outWidth, outHeight) = isTurned ? (h, w) : (w, h)
    let turned = pixels.withUnsafeBufferPointer { source in
      [UInt8](unsafeUninitializedCapacity: pixels.count) { target, initialised in
        var out = 0
        for y in 0..<outHeight {
          var from = 3 * (start + y * stepY)
          for _ in 0..<outWidth {
            target[out] = source[from]
            target[out + 1] = source[from + 1]
            target[out + 2] = source[from + 2]
            out += 3
            from += 3 * stepX
          }
        }
        initialised = out
      }
    }
    return RGBImage(width: outWidth, height: outHeight, pixels: turned)
  }
}
