import Images
import Tensors

/// How the colours and the detail of one of both copies are changed, so that their statistics differ: what
/// a face that comes from elsewhere has. Sizes and probabilities are those of the authors' program
/// (github.com/mapooon/SelfBlendedImages); what differs is told in `SelfBlending.md`.
struct CopyChange: Sendable, Equatable {
  enum Detail: Sendable, Equatable {
    /// Made smaller by this factor and brought back.
    case downscaled(Int)
    /// By `strength` times the difference from the eight neighbours; `lightness` below 1 darkens.
    case sharpened(strength: Double, lightness: Double)
  }

  /// Added to red, green and blue, in levels of 255.
  let shift: SIMD3<Double>
  /// What distances from black are multiplied by.
  let contrast: Double
  /// Added afterwards, a share of 255.
  let brightness: Double
  let detail: Detail

  init(shift: SIMD3<Double>, contrast: Double, brightness: Double, detail: Detail) {
    self.shift = shift
    self.contrast = contrast
    self.brightness = brightness
    self.detail = detail
  }

  init(_ draws: inout CounterGenerator) {
    let isShifted = draws.uniformDouble() < 0.3
    let shift = SIMD3(draws.within(20), draws.within(20), draws.within(20))
    self.init(
      shift: isShifted ? shift : .zero, contrast: 1 + draws.within(0.1),
      brightness: draws.within(0.1),
      detail: draws.below(2) == 0
        ? .downscaled(draws.below(2) == 0 ? 2 : 4)
        : .sharpened(
          strength: 0.2 + 0.3 * draws.uniformDouble(),
          lightness: 0.5 + 0.5 * draws.uniformDouble()))
  }

  func applied(to picture: RGBImage) -> RGBImage {
    // Sharpened: v − s · (v − l · v) + s · (8 v − those around it).
    let darkening: Double
    switch detail {
    case .downscaled: darkening = 1
    case .sharpened(let strength, let lightness): darkening = 1 - strength * (1 - lightness)
    }
    let table = (0..<3).flatMap { channel in
      (0..<256).map { value in
        let shifted = min(max(Double(value) + shift[channel], 0), 255)
        let level = min(max(shifted * contrast + 255 * brightness, 0), 255)
        return UInt8(level: level * darkening)
      }
    }
    var changed = picture
    changed.pixels.withUnsafeMutableBufferPointer { pixels in
      for i in stride(from: 0, to: pixels.count, by: 3) {
        pixels[i] = table[Int(pixels[i])]
        pixels[i + 1] = table[256 + Int(pixels[i + 1])]
        pixels[i + 2] = table[512 + Int(pixels[i + 2])]
      }
    }
    switch detail {
    case .downscaled(let factor): return changed.downscaledAndBack(1 / Double(factor))
    case .sharpened(let strength, _):
      changed.sharpen(13 * strength / darkening)
      return changed
    }
  }
}

extension CounterGenerator {
  /// The next draw between −limit and limit.
  mutating func within(_ limit: Double) -> Double { limit * (2 * uniformDouble() - 1) }
}
