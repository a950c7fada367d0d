/// The first frame of a GIF (CompuServe's GIF89a specification), as Pillow shows it: on the whole screen,
/// which grows with a frame that is larger; what the frame leaves free has the transparent colour, or
/// the first. Transparency itself is dropped.
struct GIFDecoder {
  private let bytes: UnsafeRawBufferPointer
  private let name: String
  private var place = 13

  static func decode(_ bytes: UnsafeRawBufferPointer, name: String, limits: DecodingLimits) throws
    -> RGBImage
  {
    var decoder = GIFDecoder(bytes: bytes, name: name)
    return try decoder.firstFrame(limits)
  }

  private init(bytes: UnsafeRawBufferPointer, name: String) {
    self.bytes = bytes
    self.name = name
  }

  private func damaged(_ detail: String) -> ImageError {
    ImageError(name: name, reason: .damaged, detail: "damaged GIF: \(detail)")
  }

  // MARK: Blocks

  private mutating func next() throws -> Int {
    guard place < bytes.count else { throw damaged("the file ends too early") }
    place += 1
    return Int(bytes[place - 1])
  }

  private func short(at offset: Int) -> Int { Int(bytes[offset]) | Int(bytes[offset + 1]) << 8 }

  /// Of 2 to 256 colours; indices beyond them are black.
  private mutating func palette(sizeIn flags: Int) throws -> [(UInt8, UInt8, UInt8)] {
    let count = 2 << (flags & 7)
    guard place + 3 * count <= bytes.count else { throw damaged("the file ends too early") }
    defer { place += 3 * count }
    return (0..<256).map {
      guard $0 < count else { return (0, 0, 0) }
      let colour = place + 3 * $0
      return (bytes[colour], bytes[colour + 1], bytes[colour + 2])
    }
  }

  /// Goes to the first frame's header: what the extensions before it say of a transparent index.
  private mutating func findFrame() throws -> Int? {
    var transparent: Int?
    while true {
      switch try next() {
      case 0x2C: return transparent
      case 0x3B: throw damaged("it has no picture")
      case 0x21:
        let label = try next()
        var isFirst = true
        while true {
          let size = try next()
          if size == 0 { break }
          guard place + size <= bytes.count else { throw damaged("the file ends too early") }
          if label == 0xF9, isFirst, size >= 4, bytes[place] & 1 == 1 {
            transparent = Int(bytes[place + 3])
          }
          isFirst = false
          place += size
        }
      default: break  // Nothing that is known: the next byte may be.
      }
    }
  }

  private mutating func firstFrame(_ limits: DecodingLimits) throws -> RGBImage {
    guard bytes.count >= 13 else { throw damaged("the file ends too early") }
    // Without a palette, indices are greys.
    var colours = (0..<256).map { (UInt8($0), UInt8($0), UInt8($0)) }
    if bytes[10] & 0x80 != 0 { colours = try palette(sizeIn: Int(bytes[10])) }
    let transparent = try findFrame()
    guard place + 9 <= bytes.count else { throw damaged("the file ends too early") }
    let (left, top) = (short(at: place), short(at: place + 2))
    let (frameWidth, frameHeight) = (short(at: place + 4), short(at: place + 6))
    let flags = Int(bytes[place + 8])
    place += 9
    let (width, height) = (
      max(short(at: 6), left + frameWidth), max(short(at: 8), top + frameHeight)
    )
    try ImageDecoder.check(width: width, height: height, name: name, limits: limits)
    try ImageDecoder.check(width: frameWidth, height: frameHeight, name: name, limits: limits)
    guard width * height <= limits.wholePixels else {
      throw ImageError(
        name: name, reason: .tooLarge,
        detail: "\(width)×\(height) pixels of GIF are more than the allowed \(limits.wholePixels);"
          + " save it as PNG")
    }
    if flags & 0x80 != 0 { colours = try palette(sizeIn: flags) }
    let indices = try unpacked(count: frameWidth * frameHeight)

    let free = colours[transparent ?? 0]
    let rows = Self.order(ofRows: frameHeight, isInterlaced: flags & 0x40 != 0)
    let pixels = [UInt8](unsafeUninitializedCapacity: width * height * 3) { out, initialised in
      if frameWidth != width || frameHeight != height {
        for pixel in 0..<width * height {
          (out[3 * pixel], out[3 * pixel + 1], out[3 * pixel + 2]) = free
        }
      }
      for (line, y) in rows.enumerated() {
        var to = 3 * ((top + y) * width + left)
        for from in line * frameWidth..<(line + 1) * frameWidth {
          (out[to], out[to + 1], out[to + 2]) = colours[Int(indices[from])]
          to += 3
        }
      }
      initialised = width * height * 3
    }
    return RGBImage(width: width, height: height, pixels: pixels)
  }

  /// In which order the rows of a frame are stored (appendix E).
  private static func order(ofRows count: Int, isInterlaced: Bool) -> [Int] {
    guard isInterlaced else { return Array(0..<count) }
    return [(0, 8), (4, 8), (2, 4), (1, 2)].flatMap { first, step in
      Array(stride(from: first, to: count, by: step))
    }
  }

  // MARK: LZW

  /// The indices of `count` pixels (appendix F).
  private mutating func unpacked(count: Int) throws -> [UInt8] {
    let codeBits = try next()
    // Pillow allows up to 12 bits; an index has 8.
    guard (1...8).contains(codeBits) else { throw damaged("codes of \(codeBits) bits") }
    let clear = 1 << codeBits
    // Of each string its last byte, the string before it, and its length.
    var last = [UInt8](repeating: 0, count: 4096)
    var before = [UInt16](repeating: 0, count: 4096)
    var lengths = [Int](repeating: 1, count: 4096)
    for value in 0..<clear { last[value] = UInt8(value) }

    var indices = [UInt8](repeating: 0, count: count)
    var filled = 0
    var free = clear + 2
    var size = codeBits + 1
    var previous: Int?
    var (buffer, available, left) = (0, 0, 0)
    while filled < count {
      while available < size {
        if left == 0 {
          left = try next()
          guard left > 0 else { throw damaged("a frame has fewer pixels than it says") }
        }
        buffer |= try next() << available
        available += 8
        left -= 1
      }
      let code = buffer & ((1 << size) - 1)
      buffer >>= size
      available -= size
      if code == clear {
        (free, size, previous) = (clear + 2, codeBits + 1, nil)
        continue
      }
      guard code != clear + 1 else { throw damaged("a frame has fewer pixels than it says") }
      guard let known = previous else {
        guard code < clear else { throw damaged("a code that means nothing") }
        indices[filled] = UInt8(code)
        filled += 1
        previous = code
        continue
      }
      guard code < free || code == free && free < 4096 else {
        throw damaged("a code that means nothing")
      }
      // A code that is only now defined: the string before it and its own first byte.
      let isNew = code == free
      var string = isNew ? known : code
      let length = lengths[string]
      var position = filled + length
      var first: UInt8 = 0
      for _ in 0..<length {
        position -= 1
        first = last[string]
        if position < count { indices[position] = first }
        string = Int(before[string])
      }
      filled += length
      if isNew {
        if filled < count { indices[filled] = first }
        filled += 1
      }
      if free < 4096 {
        last[free] = first
        before[free] = UInt16(known)
        lengths[free] = lengths[known] + 1
        free += 1
        if free == 1 << size && size < 12 { size += 1 }
      }
      previous = code
    }
    return indices
  }
}
