import CTIFF

/// How a row of a TIFF becomes 8-bit RGB: what Pillow makes of it, but for grey of 16 bits, which loses
/// its low byte as 16-bit RGB does (Pillow clips it).
struct TIFFSamples {
  private enum Colour { case grey, palette, rgb, inks }

  private let colour: Colour
  private let bits: Int
  private let samples: Int
  /// Where colours are multiplied by alpha: the sample that is alpha.
  private let alpha: Int?
  /// RGB of every value of a palette or of grey with up to 8 bits.
  private let table: [(UInt8, UInt8, UInt8)]
  private let isInverted: Bool

  /// Samples of a pixel that are looked at.
  let needed: Int

  /// - Throws: ``ImageError`` for a kind that can't be made RGB.
  init(_ info: rfm_tiff_info, name: String) throws {
    func unsupported(_ what: String) -> ImageError {
      TIFFCodec.unsupported(what, name: name)
    }
    bits = Int(info.bits)
    samples = Int(info.samples)
    let kinds: [Int32: Colour] = [0: .grey, 1: .grey, 2: .rgb, 3: .palette, 5: .inks, 6: .rgb]
    // YCbCr with one sample is grey.
    guard let kind = info.photometric == 6 && samples == 1 ? .grey : kinds[info.photometric] else {
      throw unsupported("its colour space (photometric interpretation \(info.photometric))")
    }
    colour = kind
    let depths: [Int] =
      switch kind {
      case .grey: [1, 2, 4, 8, 16]
      case .palette: [1, 2, 4, 8]
      case .rgb, .inks: [8, 16]
      }
    guard info.format == 1 || info.format == 2 && bits == 8 && kind == .grey else {
      throw unsupported("\(info.format == 2 ? "signed" : "floating-point") samples")
    }
    guard depths.contains(bits) else { throw unsupported("samples of \(bits) bits") }
    let colours = kind == .rgb ? 3 : kind == .inks ? 4 : 1
    guard samples >= colours, samples <= 64, bits >= 8 || samples == 1 else {
      throw unsupported("a pixel of \(samples) samples")
    }
    let hasAlpha = info.first_extra == 1 && samples > colours && kind != .palette && kind != .inks
    alpha = hasAlpha ? colours : nil
    needed = hasAlpha ? colours + 1 : colours
    isInverted = kind == .grey && info.photometric == 0

    switch kind {
    case .grey where bits <= 8:
      let most = (1 << bits) - 1
      let inverted = isInverted
      table = (0...most).map {
        let value = UInt8((inverted ? most - $0 : $0) * (255 / most))
        return (value, value, value)
      }
    case .palette:
      guard let red = info.red, let green = info.green, let blue = info.blue else {
        throw ImageError(
          name: name, reason: .damaged, detail: "damaged TIFF: it has no palette")
      }
      table = (0..<1 << bits).map {
        (UInt8(red[$0] >> 8), UInt8(green[$0] >> 8), UInt8(blue[$0] >> 8))
      }
    default: table = []
    }
  }

  /// Bytes that a row needs at least, of all samples or of one.
  func bytes(inRowOf width: Int, interleaved: Bool) -> Int {
    (width * bits * (interleaved ? samples : 1) + 7) / 8
  }

  /// A row of every plane, or of the one plane that has all samples, as `width` × 3 bytes.
  func convert(
    _ planes: [UnsafePointer<UInt8>], width: Int, into row: UnsafeMutablePointer<UInt8>
  ) {
    let isInterleaved = planes.count == 1
    let step = (isInterleaved ? samples : 1) * bits / 8
    // The high byte of a sample is what is taken of 16 bits.
    let high = bits == 16 ? Self.offsetOfHighByte : 0
    func start(_ sample: Int) -> UnsafePointer<UInt8> {
      isInterleaved ? planes[0] + sample * bits / 8 + high : planes[sample] + high
    }
    switch colour {
    case .palette, .grey:
      guard bits <= 8 else {
        let source = start(0)
        for x in 0..<width {
          let value = isInverted ? 255 - source[x * step] : source[x * step]
          (row[3 * x], row[3 * x + 1], row[3 * x + 2]) = (value, value, value)
        }
        break
      }
      table.withUnsafeBufferPointer { table in
        for x in 0..<width {
          let value: Int
          if bits == 8 {
            value = Int(planes[0][x * step])
          } else {
            let place = x * bits
            value = Int(planes[0][place / 8]) >> (8 - bits - place % 8) & ((1 << bits) - 1)
          }
          (row[3 * x], row[3 * x + 1], row[3 * x + 2]) = table[value]
        }
      }
    case .rgb:
      let (red, green, blue) = (start(0), start(1), start(2))
      for x in 0..<width {
        row[3 * x] = red[x * step]
        row[3 * x + 1] = green[x * step]
        row[3 * x + 2] = blue[x * step]
      }
    case .inks:
      let (cyan, magenta, yellow, black) = (start(0), start(1), start(2), start(3))
      for x in 0..<width {
        let light = 255 - Int(black[x * step])
        row[3 * x] = Self.under(Int(cyan[x * step]), light)
        row[3 * x + 1] = Self.under(Int(magenta[x * step]), light)
        row[3 * x + 2] = Self.under(Int(yellow[x * step]), light)
      }
    }
    guard let alpha else { return }
    let opacity = start(alpha)
    for x in 0..<width {
      let share = Int(opacity[x * step])
      guard share < 255 else { continue }
      for c in 3 * x..<3 * x + 3 {
        row[c] = share == 0 ? 0 : UInt8(min(255, Int(row[c]) * 255 / share))
      }
    }
  }

  /// What is left of `light` under an ink: light − ink · light / 255, rounded to nearest.
  private static func under(_ ink: Int, _ light: Int) -> UInt8 {
    let product = ink * light + 128
    return UInt8(light - ((product + (product >> 8)) >> 8))
  }

  private static let offsetOfHighByte = UInt16(1).littleEndian == 1 ? 1 : 0
}
