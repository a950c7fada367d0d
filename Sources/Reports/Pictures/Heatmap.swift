import ForgeryMining
import Images

/// Maps of numbers, float32 `[height, width]` in rows, as pictures.
public enum Heatmap {
  /// The smallest and largest finite value; 0 … 1 if there is none.
  public static func range(of map: [Float]) -> ClosedRange<Float> {
    var (low, high) = (Float.infinity, -Float.infinity)
    for value in map where value.isFinite {
      low = min(low, value)
      high = max(high, value)
    }
    return low <= high ? low...high : 0...1
  }

  /// `map` in colours, the lower end of `range` in the map's first colour and the upper end in its
  /// last. Without a range, from the smallest value to the largest; a uniform map is all first
  /// colour. Values that are not numbers are grey.
  public static func render(
    _ map: [Float], width: Int, height: Int, colors: ColorMap = .ember,
    range: ClosedRange<Float>? = nil
  ) -> RGBImage {
    precondition(
      map.count == width * height, "expected \(width)×\(height) values, found \(map.count)")
    let unit = scaled(map, range: range)
    var pixels: [UInt8] = []
    pixels.reserveCapacity(map.count * 3)
    for value in unit {
      let color = colors[value]
      pixels.append(color.x)
      pixels.append(color.y)
      pixels.append(color.z)
    }
    return RGBImage(width: width, height: height, pixels: pixels)
  }

  /// `image` with `map` over it, both of any size: the image, in grey and a little darker, shows
  /// through where the map is low; where it is high, its colour covers up to `strength` of it.
  public static func overlay(
    _ map: [Float], width: Int, height: Int, on image: RGBImage, colors: ColorMap = .ember,
    range: ClosedRange<Float>? = nil, strength: Float = 0.85
  ) -> RGBImage {
    let large = resized(
      scaled(map, range: range), width: width, height: height, toWidth: image.width,
      height: image.height)
    var out = image
    for (index, value) in large.enumerated() {
      let offset = index * 3
      // Luma of ITU-R BT.601.
      let grey =
        0.299 * Float(image.pixels[offset]) + 0.587 * Float(image.pixels[offset + 1])
        + 0.114 * Float(image.pixels[offset + 2])
      let cover = value.isNaN ? 0 : strength * max(0, min(1, value)).squareRoot()
      let color = colors[value]
      for channel in 0..<3 {
        let mixed = 0.85 * grey * (1 - cover) + Float(color[channel]) * cover
        out.pixels[offset + channel] = UInt8(max(0, min(255, mixed.rounded())))
      }
    }
    return out
  }

  /// A map at another size: bilinear between pixel centres, without antialiasing (maps are smooth or
  /// enlarged).
  public static func resized(
    _ map: [Float], width: Int, height: Int, toWidth newWidth: Int, height newHeight: Int
  ) -> [Float] {
    precondition(
      map.count == width * height, "expected \(width)×\(height) values, found \(map.count)")
    if width == newWidth && height == newHeight { return map }
    var out = [Float](repeating: 0, count: newWidth * newHeight)
    map.withUnsafeBufferPointer { map in
      out.withUnsafeMutableBufferPointer {
        resizeBilinear(
          map, height: height, width: width, into: $0, height: newHeight, width: newWidth)
      }
    }
    return out
  }

  private static func scaled(_ map: [Float], range: ClosedRange<Float>?) -> [Float] {
    let range = range ?? self.range(of: map)
    // Halves, because the difference of two large values of opposite sign overflows.
    let span = range.upperBound / 2 - range.lowerBound / 2
    guard span > 0 else { return map.map { $0.isNaN ? .nan : 0 } }
    return map.map { ($0 / 2 - range.lowerBound / 2) / span }
  }
}
