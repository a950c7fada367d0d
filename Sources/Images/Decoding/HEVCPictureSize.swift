/// How large the pictures are that HEVC data in a file decode to: the container says one size, the
/// decoder takes memory for that in the sequence parameter sets (ITU-T H.265, 7.3.2.2), which may be
/// any other, and libheif 1.15 does not compare them.
enum HEVCPictureSize {
  /// The most pixels that anything in `bytes` that may be a sequence parameter set asks for: in the
  /// container's properties or amid the pictures' data. By chance other data hardly ever look like one
  /// that is large: its numbers must fit together.
  static func largest(in bytes: UnsafeRawBufferPointer) -> Int {
    var largest = 0
    for place in 0..<max(0, bytes.count - 15) {
      // Its two bytes of header: type 33, layer 0, any temporal layer.
      guard bytes[place] & 0x7F == 0x42, bytes[place + 1] < 8 else { continue }
      var reader = BitReader(UnsafeRawBufferPointer(rebasing: bytes[(place + 2)...]))
      largest = max(largest, pixels(&reader) ?? 0)
    }
    return largest
  }

  /// The most tiles that a picture of the container may be put together from (ISO/IEC 23008-12, 6.6.2.3),
  /// by the sizes of its lists of them: all of them may be the same item, decoded as often.
  static func mostTiles(in bytes: UnsafeRawBufferPointer) -> Int {
    func number(at offset: Int) -> Int { (0..<4).reduce(0) { $0 << 8 | Int(bytes[offset + $1]) } }
    func isCode(_ code: StaticString, at offset: Int) -> Bool {
      (0..<4).allSatisfy { bytes[offset + $0] == code.utf8Start[$0] }
    }
    var most = 0
    var box = 0
    while box + 8 <= bytes.count {
      var end = box + number(at: box)
      // 0: to the file's end; 1: the size follows in 8 bytes, of which the upper ones must be 0.
      if end == box { end = bytes.count }
      if end == box + 1 {
        guard box + 16 <= bytes.count, number(at: box + 8) == 0 else { return most }
        end = box + number(at: box + 12)
      }
      guard end >= box + 8 else { return most }
      if isCode("meta", at: box + 4) {
        let last = min(end, bytes.count)
        for place in box + 8..<max(box + 8, last - 4) where isCode("dimg", at: place) {
          let size = min(number(at: place - 4), last - place + 4)
          // Two bytes for each at least, behind 12 that are something else.
          most = max(most, (size - 12) / 2)
        }
      }
      box = end
    }
    return most
  }

  /// Whether tiles are far more than their picture needs, even if what was taken for a tile's size is
  /// that of another picture in the file.
  static func isFarMore(tiles: Int, of pixels: Int, than picture: Int) -> Bool {
    let (all, overflow) = tiles.multipliedReportingOverflow(by: pixels)
    return overflow || all > 64 * max(picture, 1 << 20)
  }

  /// The pixels of a parameter set behind its header; nil where it is none.
  private static func pixels(_ reader: inout BitReader) -> Int? {
    reader.skip(4)
    let layers = reader.bits(3)
    guard layers <= 6 else { return nil }
    reader.skip(1 + 96)
    var skipped = 0
    if layers > 0 {
      for _ in 0..<layers {
        if reader.bits(1) == 1 { skipped += 88 }
        if reader.bits(1) == 1 { skipped += 8 }
      }
      reader.skip(2 * (8 - layers) + skipped)
    }
    guard reader.number() <= 15 else { return nil }
    let chroma = reader.number()
    guard chroma <= 3 else { return nil }
    if chroma == 3 { reader.skip(1) }
    let (width, height) = (reader.number(), reader.number())
    if reader.bits(1) == 1 { for _ in 0..<4 { _ = reader.number() } }
    guard reader.number() <= 8, reader.number() <= 8, reader.number() <= 12 else { return nil }
    for _ in (reader.bits(1) == 1 ? 0 : layers)...layers {
      for _ in 0..<3 { _ = reader.number() }
    }
    let block = reader.number()
    guard block <= 3, !reader.isBehindEnd, width > 0, height > 0, width % (8 << block) == 0,
      height % (8 << block) == 0
    else { return nil }
    return width * height
  }
}

/// Bits of a unit of HEVC, the highest first, without the bytes that keep start codes out of it (7.3.1.1).
private struct BitReader {
  private let bytes: UnsafeRawBufferPointer
  private var place = 0
  private var left = 0  // bits of `current`
  private var current: UInt8 = 0
  private var zeros = 0
  private(set) var isBehindEnd = false

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  private mutating func bit() -> Int {
    if left == 0 {
      if zeros >= 2, place < bytes.count, bytes[place] == 3 {
        place += 1
        zeros = 0
      }
      guard place < bytes.count else {
        isBehindEnd = true
        return 0
      }
      current = bytes[place]
      zeros = current == 0 ? zeros + 1 : 0
      place += 1
      left = 8
    }
    left -= 1
    return Int(current >> UInt8(left)) & 1
  }

  mutating func skip(_ count: Int) { for _ in 0..<count { _ = bit() } }

  mutating func bits(_ count: Int) -> Int {
    (0..<count).reduce(0) { value, _ in value << 1 | bit() }
  }

  /// Exp-Golomb, of up to 32 bits (9.2).
  mutating func number() -> Int {
    var length = 0
    while bit() == 0 {
      length += 1
      guard length <= 31, !isBehindEnd else {
        isBehindEnd = true
        return 0
      }
    }
    return (1 << length) - 1 + bits(length)
  }
}
