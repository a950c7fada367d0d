import Images

/// A picture to put pictures and labels on.
public struct Sheet: Sendable {
  public private(set) var image: RGBImage

  public static let paper = SIMD3<UInt8>(250, 250, 248)
  public static let ink = SIMD3<UInt8>(34, 36, 42)

  public init(width: Int, height: Int, background: SIMD3<UInt8> = Sheet.paper) {
    var pixels: [UInt8] = []
    pixels.reserveCapacity(width * height * 3)
    for _ in 0..<width * height {
      pixels.append(background.x)
      pixels.append(background.y)
      pixels.append(background.z)
    }
    image = RGBImage(width: width, height: height, pixels: pixels)
  }

  /// Puts `picture` with its upper left corner at (`x`, `y`); what hangs over the edge is cut off.
  public mutating func put(_ picture: RGBImage, x: Int, y: Int) {
    let (left, right) = (max(0, x), min(image.width, x + picture.width))
    guard left < right else { return }
    for row in max(0, y)..<max(max(0, y), min(image.height, y + picture.height)) {
      let from = ((row - y) * picture.width + left - x) * 3
      let to = (row * image.width + left) * 3
      image.pixels.replaceSubrange(
        to..<to + (right - left) * 3, with: picture.pixels[from..<from + (right - left) * 3])
    }
  }

  /// Writes `text` with its left end at `x` and its baseline at `y`. `capital` is the height of
  /// capitals in pixels; `weight` that of the pen.
  public mutating func write(
    _ text: String, x: Int, y: Int, capital: Double = 10, weight: Double? = nil,
    color: SIMD3<UInt8> = Sheet.ink
  ) {
    let unit = capital / 6
    let radius = (weight ?? max(1.1, capital / 8)) / 2
    for segment in StrokeFont.segments(of: text) {
      let from = SIMD2(Double(x) + segment.from.x * unit, Double(y) - (segment.from.y - 2) * unit)
      let to = SIMD2(Double(x) + segment.to.x * unit, Double(y) - (segment.to.y - 2) * unit)
      stroke(from: from, to: to, radius: from == to ? radius * 1.35 : radius, color: color)
    }
  }

  /// The width in pixels of what ``write(_:x:y:capital:weight:color:)`` writes.
  public static func width(of text: String, capital: Double = 10) -> Int {
    Int(StrokeFont.width(of: text, unit: capital / 6).rounded(.up))
  }

  /// `text`, or as much of its beginning as fits into `width` with an ellipsis.
  public static func fitting(_ text: String, width: Int, capital: Double = 10) -> String {
    if Sheet.width(of: text, capital: capital) <= width { return text }
    var part = text
    while !part.isEmpty, Sheet.width(of: part + "...", capital: capital) > width {
      part.removeLast()
    }
    return part + "..."
  }

  /// A bar of `colors` from left (lowest) to right.
  public mutating func putScale(_ colors: ColorMap, x: Int, y: Int, width: Int, height: Int) {
    let ramp = (0..<width).map { Float($0) / Float(max(1, width - 1)) }
    let bar = Heatmap.render(
      (0..<height).flatMap { _ in ramp }, width: width, height: height, colors: colors,
      range: 0...1)
    put(bar, x: x, y: y)
  }

  private mutating func stroke(
    from: SIMD2<Double>, to: SIMD2<Double>, radius: Double, color: SIMD3<UInt8>
  ) {
    let reach = radius + 1
    let left = max(0, Int((min(from.x, to.x) - reach).rounded(.down)))
    let right = min(image.width - 1, Int((max(from.x, to.x) + reach).rounded(.up)))
    let top = max(0, Int((min(from.y, to.y) - reach).rounded(.down)))
    let bottom = min(image.height - 1, Int((max(from.y, to.y) + reach).rounded(.up)))
    guard left <= right, top <= bottom else { return }
    let along = to - from
    let length = (along * along).sum()
    for y in top...bottom {
      for x in left...right {
        let point = SIMD2(Double(x) + 0.5, Double(y) + 0.5)
        let t = length > 0 ? min(max(((point - from) * along).sum() / length, 0), 1) : 0
        let away = point - from - along * t
        // How much of the pixel the pen covers, near enough.
        let cover = min(max(radius + 0.5 - (away * away).sum().squareRoot(), 0), 1)
        guard cover > 0 else { continue }
        let offset = (y * image.width + x) * 3
        for channel in 0..<3 {
          let old = Double(image.pixels[offset + channel])
          image.pixels[offset + channel] = UInt8(
            (old + (Double(color[channel]) - old) * cover).rounded())
        }
      }
    }
  }
}
