/// How a camera was held: the orientation tag (0x0112) of EXIF 2.3, section 4.6.4. The value says
/// where the stored first row and first column belong in the upright picture. `OrientationSearch` says
/// where in a file it is looked for.
package enum ExifOrientation: Int, CaseIterable {
  case upright = 1
  case mirrored, upsideDown, flipped, transposed, turnedRight, transversed, turnedLeft

  /// The tag in the first directory of a TIFF structure; nil where there is none. What is stored but
  /// makes no sense, and a header that is none of TIFF's, mean upright. As Pillow reads it: of several
  /// numbers the first, of any type of number, and nothing behind an entry that lies outside.
  init?(tiff bytes: UnsafeRawBufferPointer) {
    if bytes.isEmpty { return nil }
    let littleEndian: Bool
    switch bytes.count >= 8 ? Array(bytes[..<4]) : [] {
    case [0x49, 0x49, 42, 0], [0x49, 0x49, 0, 42]: littleEndian = true
    case [0x4D, 0x4D, 0, 42], [0x4D, 0x4D, 42, 0]: littleEndian = false
    default:
      self = .upright
      return
    }
    func value(at offset: Int, bytes count: Int) -> UInt64? {
      guard offset >= 0, offset <= bytes.count - count else { return nil }
      return (0..<count).reduce(0) {
        $0 << 8 | UInt64(bytes[offset + (littleEndian ? count - 1 - $1 : $1)])
      }
    }
    func integer(at offset: Int, bytes count: Int) -> Int? {
      value(at: offset, bytes: count).flatMap { Int(exactly: $0) }
    }
    guard let directory = integer(at: 4, bytes: 4), let entries = integer(at: directory, bytes: 2)
    else { return nil }
    var elsewhere = 0  // bytes of values that don't fit into their entry
    for entry in 0..<entries {
      let offset = directory + 2 + 12 * entry
      guard offset <= bytes.count - 12, let tag = integer(at: offset, bytes: 2),
        let number = integer(at: offset + 2, bytes: 2),
        let count = integer(at: offset + 4, bytes: 4)
      else { return nil }
      guard let type = TIFFType(rawValue: number) else { continue }
      let size = count * type.size
      var place = offset + 8
      if size > 4 {
        elsewhere += size
        if elsewhere > bytes.count { continue }
        guard let stored = integer(at: offset + 8, bytes: 4), stored <= bytes.count - size else {
          return nil
        }
        place = stored
      }
      guard tag == 0x0112, count > 0 else { continue }
      self = Self.named(by: type, of: value(at: place, bytes: type.size) ?? 0, littleEndian)
      return
    }
    return nil
  }

  /// The orientation that a number in `bits` means; upright where it means none.
  private static func named(
    by type: TIFFType, of bits: UInt64, _ littleEndian: Bool
  ) -> ExifOrientation {
    // The two halves of a fraction in the order of the file.
    let (low, high) = (bits & 0xFFFF_FFFF, bits >> 32)
    let (first, second) = littleEndian ? (low, high) : (high, low)
    let number: Double
    switch type {
    case .byte, .text, .undefined: return .upright
    case .signedByte: number = Double(Int8(truncatingIfNeeded: bits))
    case .signedShort: number = Double(Int16(truncatingIfNeeded: bits))
    case .signedLong: number = Double(Int32(truncatingIfNeeded: bits))
    case .short, .long, .directory, .long8: number = Double(bits)
    case .fraction: number = Double(first) / Double(second)
    case .signedFraction:
      number =
        Double(Int32(truncatingIfNeeded: first)) / Double(Int32(truncatingIfNeeded: second))
    case .float: number = Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))
    case .double: number = Double(bitPattern: bits)
    }
    return Int(exactly: number).flatMap { ExifOrientation(rawValue: $0) } ?? .upright
  }
}

/// The types of values in TIFF 6.0, section 2, and its supplements.
private enum TIFFType: Int {
  case byte = 1
  case text, short, long, fraction, signedByte, undefined, signedShort, signedLong, signedFraction
  case float, double, directory
  case long8 = 16

  /// Bytes of one value.
  var size: Int {
    switch self {
    case .byte, .text, .signedByte, .undefined: 1
    case .short, .signedShort: 2
    case .long, .signedLong, .float, .directory: 4
    case .fraction, .signedFraction, .double, .long8: 8
    }
  }
}

extension RGBImage {
  /// The upright picture.
  package func oriented(by orientation: ExifOrientation) -> RGBImage {
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
