/// The six formats of Netpbm (PBM, PGM, PPM as text and as bytes; netpbm.sourceforge.net/doc), with
/// 1 to 16 bits a sample. Of a file with several images, the first.
enum PNMDecoder {
  static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }

  static func decode(_ bytes: UnsafeRawBufferPointer, name: String, limits: DecodingLimits) throws
    -> RGBImage
  {
    func damaged(_ detail: String) -> ImageError {
      ImageError(name: name, reason: .damaged, detail: "damaged PNM: \(detail)")
    }
    let end = bytes.count
    var position = 2

    func skipSpaceAndComments() {
      while position < end {
        if isSpace(bytes[position]) {
          position += 1
        } else if bytes[position] == UInt8(ascii: "#") {
          while position < end && bytes[position] != 10 && bytes[position] != 13 { position += 1 }
        } else {
          return
        }
      }
    }
    /// A decimal number of at most nine digits.
    func number(_ what: String) throws -> Int {
      skipSpaceAndComments()
      var value = 0
      let start = position
      while position < end, (48...57).contains(bytes[position]) {
        value = value * 10 + Int(bytes[position]) - 48
        position += 1
        if position - start > 9 { throw damaged("\(what) is too large") }
      }
      guard position > start else {
        throw damaged(position >= end ? "the file ends too early" : "\(what) is not a number")
      }
      return value
    }

    let kind = Int(bytes[1]) - 48
    let isText = kind <= 3
    let isBitmap = kind == 1 || kind == 4
    let channels = kind == 3 || kind == 6 ? 3 : 1
    let width = try number("the width")
    let height = try number("the height")
    try ImageDecoder.check(width: width, height: height, name: name, limits: limits)
    let maximum = isBitmap ? 1 : try number("the largest value")
    guard (1...65535).contains(maximum) else {
      throw damaged("the largest value is \(maximum); 1 to 65535 are allowed")
    }
    let samples = width * channels
    let bytesPerRow =
      kind == 4 ? (width + 7) / 8 : isText ? samples : samples * (maximum > 255 ? 2 : 1)
    if !isText {
      guard position < end, isSpace(bytes[position]) else {
        throw damaged("no white space after the header")
      }
      position += 1
    }
    // A text sample takes at least one byte too, so a header can't claim more than the file holds.
    guard bytesPerRow * height <= end - position else {
      throw damaged(
        "\(width)×\(height) pixels need \(bytesPerRow * height) bytes, the file has"
          + " \(end - position)")
    }

    func scaled(_ value: Int) -> UInt8 {
      UInt8((min(value, maximum) * 255 + maximum / 2) / maximum)
    }
    let table = (0...255).map(scaled)

    return try RowReducer.collect(
      width: width, height: height,
      factor: RowReducer.factor(width: width, height: height, wholePixels: limits.wholePixels)
    ) { row in
      func put(_ sample: Int, _ value: UInt8) {
        if channels == 3 {
          row[sample] = value
        } else {
          row[3 * sample] = value
          row[3 * sample + 1] = value
          row[3 * sample + 2] = value
        }
      }
      switch kind {
      case 1:
        for x in 0..<width {
          skipSpaceAndComments()
          guard position < end else { throw damaged("the file ends too early") }
          guard bytes[position] == 48 || bytes[position] == 49 else {
            throw damaged("a pixel is neither 0 nor 1")
          }
          put(x, bytes[position] == 49 ? 0 : 255)
          position += 1
        }
      case 4:
        for x in 0..<width {
          let isBlack = bytes[position + x / 8] >> (7 - x % 8) & 1 == 1
          put(x, isBlack ? 0 : 255)
        }
        position += bytesPerRow
      case 2, 3:
        for sample in 0..<samples {
          let value = try number("a sample")
          guard value <= maximum else { throw damaged("a sample of \(value) is above \(maximum)") }
          put(sample, scaled(value))
        }
      default:
        if maximum > 255 {
          for sample in 0..<samples {
            let high = Int(bytes[position + 2 * sample])
            put(sample, scaled(high << 8 | Int(bytes[position + 2 * sample + 1])))
          }
        } else {
          for sample in 0..<samples { put(sample, table[Int(bytes[position + sample])]) }
        }
        position += bytesPerRow
      }
    }
  }
}
