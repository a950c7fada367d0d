/// Windows bitmaps (and OS/2's of the same header sizes): palettes of 1, 4 and 8 bits, plain or run-length
/// encoded, 16, 24 and 32 bits with or without masks, rows from the bottom or the top. Alpha is dropped.
///
/// Layouts are those of Microsoft's "Bitmap Storage" pages. What Pillow reads looks as it does there,
/// down to the colour of indices beyond a short palette and what a run does that is too long for its row;
/// masks of any width are read as well.
struct BMPDecoder {
  /// Sizes of the headers that are known, by which the formats are told apart.
  static let headerSizes: Set<Int> = [12, 40, 52, 56, 64, 108, 124]

  private let bytes: UnsafeRawBufferPointer
  private let name: String
  private let width: Int
  private let height: Int
  private let isTopDown: Bool
  private let bits: Int
  private let compression: Int
  private let masks: [Int]
  private var palette: [(UInt8, UInt8, UInt8)] = []
  private let start: Int

  static func decode(_ bytes: UnsafeRawBufferPointer, name: String, limits: DecodingLimits) throws
    -> RGBImage
  {
    let decoder = try BMPDecoder(bytes, name: name, limits: limits)
    let factor = RowReducer.factor(
      width: decoder.width, height: decoder.height, wholePixels: limits.wholePixels)
    switch decoder.compression {
    case 1, 2:
      guard factor == 1 else {
        throw ImageError(
          name: name, reason: .tooLarge,
          detail: "\(decoder.width)×\(decoder.height) run-length encoded pixels are more than the"
            + " allowed \(limits.wholePixels); save it without")
      }
      return try decoder.runLengthDecoded()
    default: return try decoder.plain(factor: factor)
    }
  }

  // MARK: Header

  private init(_ bytes: UnsafeRawBufferPointer, name: String, limits: DecodingLimits) throws {
    self.bytes = bytes
    self.name = name
    func number(_ size: Int, at offset: Int) throws -> Int {
      guard offset + size <= bytes.count else {
        throw Self.damaged("the file ends too early", name)
      }
      return (0..<size).reversed().reduce(0) { $0 << 8 | Int(bytes[offset + $1]) }
    }
    let headerSize = try number(4, at: 14)
    guard Self.headerSizes.contains(headerSize) else {
      throw Self.unsupported("its header of \(headerSize) bytes", name)
    }
    let isOld = headerSize == 12
    width = try isOld ? number(2, at: 18) : number(4, at: 18)
    let stored = try isOld ? number(2, at: 20) : number(4, at: 22)
    isTopDown = !isOld && stored >= 1 << 31
    height = isTopDown ? 1 << 32 - stored : stored
    try ImageDecoder.check(width: width, height: height, name: name, limits: limits)
    bits = try number(2, at: isOld ? 24 : 28)
    compression = try isOld ? 0 : number(4, at: 30)
    let pairs: [Int: Set<Int>] = [
      0: [1, 4, 8, 16, 24, 32], 1: [8], 2: [4], 3: headerSize == 64 ? [] : [16, 24, 32],
    ]
    guard let depths = pairs[compression] else {
      throw Self.unsupported("its compression (\(compression))", name)
    }
    guard depths.contains(bits) else {
      throw Self.unsupported("a pixel of \(bits) bits (compression \(compression))", name)
    }
    let usual = bits == 16 ? [0x7C00, 0x3E0, 0x1F] : [0xFF0000, 0xFF00, 0xFF]
    var masks = usual
    if compression == 3 {
      // In the header, or behind one that is too short for them: the same place.
      masks = try (0..<3).map { try number(4, at: 54 + 4 * $0) }
      if masks == [0, 0, 0] { masks = usual }
    }
    for mask in masks where bits > 8 {
      let ones = mask >> mask.trailingZeroBitCount
      guard mask > 0, mask < 1 << bits, ones & (ones + 1) == 0 else {
        throw Self.unsupported("its masks", name)
      }
    }
    self.masks = masks

    var end = 14 + headerSize + (compression == 3 && headerSize == 40 ? 12 : 0)
    if bits <= 8 {
      let entry = isOld ? 3 : 4
      let claimed = try isOld ? 0 : number(4, at: 46)
      let count = claimed == 0 ? 1 << bits : claimed
      guard count <= 1 << 16, end + count * entry <= bytes.count else {
        throw Self.damaged("a palette of \(count) colours does not fit into it", name)
      }
      palette = (0..<min(count, 1 << bits)).map {
        let place = end + $0 * entry
        return (bytes[place + 2], bytes[place + 1], bytes[place])
      }
      while palette.count < 1 << bits { palette.append(Self.missingColour) }
      end += count * entry
    }
    let offset = try number(4, at: 10)
    start = offset == 0 || offset == 14 + headerSize ? end : offset
  }

  /// Of an index beyond the palette's end.
  private static let missingColour: (UInt8, UInt8, UInt8) = (0, 0, 0)

  private static func damaged(_ detail: String, _ name: String) -> ImageError {
    ImageError(name: name, reason: .damaged, detail: "damaged BMP: \(detail)")
  }

  private static func unsupported(_ what: String, _ name: String) -> ImageError {
    ImageError(
      name: name, reason: .notAnImage,
      detail: "a kind of BMP that can't be read: \(what) is not supported; save it as PNG")
  }

  // MARK: Pixels

  private func plain(factor: Int) throws -> RGBImage {
    let stride = (width * bits + 31) / 32 * 4
    // The padding of the last row may be missing.
    guard start + stride * (height - 1) + (width * bits + 7) / 8 <= bytes.count else {
      throw Self.damaged("the file ends too early", name)
    }
    var y = 0
    return try RowReducer.collect(width: width, height: height, factor: factor) { row in
      let place = start + stride * (isTopDown ? y : height - 1 - y)
      convert(UnsafeRawBufferPointer(rebasing: bytes[place...]), into: row)
      y += 1
    }
  }

  private func convert(_ source: UnsafeRawBufferPointer, into row: UnsafeMutablePointer<UInt8>) {
    if bits <= 8 {
      palette.withUnsafeBufferPointer { palette in
        for x in 0..<width {
          let place = x * bits
          let value = Int(source[place / 8]) >> (8 - bits - place % 8) & ((1 << bits) - 1)
          (row[3 * x], row[3 * x + 1], row[3 * x + 2]) = palette[value]
        }
      }
      return
    }
    let size = bits / 8
    if bits >= 24 && masks == [0xFF0000, 0xFF00, 0xFF] {
      for x in 0..<width {
        for c in 0..<3 { row[3 * x + c] = source[size * x + 2 - c] }
      }
      return
    }
    let shifts = masks.map(\.trailingZeroBitCount)
    let most = zip(masks, shifts).map { $0 >> $1 }
    for x in 0..<width {
      var value = 0
      for byte in 0..<size { value |= Int(source[size * x + byte]) << (8 * byte) }
      for c in 0..<3 {
        row[3 * x + c] = UInt8(((value & masks[c]) >> shifts[c]) * 255 / most[c])
      }
    }
  }

  /// Runs, pixels as they are, jumps, ends of rows and of the picture. What is jumped over has colour 0.
  private func runLengthDecoded() throws -> RGBImage {
    let total = width * height
    var indices = [UInt8](repeating: 0, count: total)
    var count = 0  // pixels so far, in rows without gaps
    var x = 0
    var place = start
    func next() throws -> Int {
      guard place < bytes.count else { throw Self.damaged("the file ends too early", name) }
      place += 1
      return Int(bytes[place - 1])
    }
    decoding: while count < total {
      let (length, value) = (try next(), try next())
      if length > 0 {
        // A run never goes on in the next row.
        let run = min(length, max(0, width - x), total - count)
        for i in 0..<run {
          indices[count + i] =
            UInt8(bits == 8 ? value : i % 2 == 0 ? value >> 4 : value & 15)
        }
        count += run
        x += run
        continue
      }
      switch value {
      case 0:  // the end of a row
        count = min(total, (count + width - 1) / width * width)
        x = 0
      case 1: break decoding  // the end of the picture
      case 2:  // a jump to the right and up
        let (right, up) = (try next(), try next())
        count = min(total, count + right + up * width)
        x = count % width
      default:  // pixels one by one
        let pixels = min(value, total - count)
        for i in 0..<pixels {
          if bits == 8 {
            indices[count + i] = UInt8(try next())
          } else if i % 2 == 0 {
            let pair = try next()
            indices[count + i] = UInt8(pair >> 4)
            if i + 1 < pixels { indices[count + i + 1] = UInt8(pair & 15) }
          }
        }
        count += pixels
        x += value
        if place % 2 != 0 { place += 1 }
      }
    }
    var y = 0
    return try RowReducer.collect(width: width, height: height, factor: 1) { row in
      let line = width * (isTopDown ? y : height - 1 - y)
      for column in 0..<width {
        (row[3 * column], row[3 * column + 1], row[3 * column + 2]) =
          palette[Int(indices[line + column])]
      }
      y += 1
    }
  }
}
