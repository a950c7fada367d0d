import Foundation

/// The colour space in which the steps of colour maps are measured. sRGB values are 0 … 1.
enum PerceptualColor {
  /// Linear light of an sRGB value (IEC 61966-2-1).
  static func linear(_ value: Double) -> Double {
    value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4)
  }

  typealias Matrix = (SIMD3<Double>, SIMD3<Double>, SIMD3<Double>)

  static func apply(_ matrix: Matrix, _ vector: SIMD3<Double>) -> SIMD3<Double> {
    SIMD3((matrix.0 * vector).sum(), (matrix.1 * vector).sum(), (matrix.2 * vector).sum())
  }

  static func inverse(_ m: Matrix) -> Matrix {
    func cross(_ a: SIMD3<Double>, _ b: SIMD3<Double>) -> SIMD3<Double> {
      SIMD3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)
    }
    let (a, b, c) = (cross(m.1, m.2), cross(m.2, m.0), cross(m.0, m.1))
    let determinant = (m.0 * a).sum()
    return (
      SIMD3(a.x, b.x, c.x) / determinant, SIMD3(a.y, b.y, c.y) / determinant,
      SIMD3(a.z, b.z, c.z) / determinant
    )
  }

  private static let xyzFromLight: Matrix = (
    SIMD3(0.412_456_4, 0.357_576_1, 0.180_437_5), SIMD3(0.212_672_9, 0.715_152_2, 0.072_175_0),
    SIMD3(0.019_333_9, 0.119_192_0, 0.950_304_1)
  )
  private static let sharpened: Matrix = (
    SIMD3(0.7328, 0.4296, -0.1624), SIMD3(-0.7036, 1.6975, 0.0061),
    SIMD3(0.0030, 0.0136, 0.9834)
  )
  private static let unsharpened = inverse(sharpened)
  private static let huntPointerEstevez: Matrix = (
    SIMD3(0.389_71, 0.688_98, -0.078_68), SIMD3(-0.229_81, 1.183_40, 0.046_41), SIMD3(0, 0, 1)
  )

  /// (J′, a′, b′) of CAM02-UCS, in which equal distances look equally large (CIECAM02: CIE 159:2004,
  /// under the viewing conditions of sRGB; its uniform space: M. R. Luo, G. Cui, C. Li, "Uniform
  /// colour spaces based on CIECAM02", Color Research & Application 31, 2006).
  static func uniform(_ rgb: SIMD3<Double>) -> SIMD3<Double> {
    let (adaptingLuminance, background) = (64 / Double.pi / 5, 20.0)
    let (surround, impact, induction) = (1.0, 0.69, 1.0)
    let white = apply(xyzFromLight, SIMD3(1, 1, 1)) * 100
    let xyz = apply(xyzFromLight, SIMD3(linear(rgb.x), linear(rgb.y), linear(rgb.z))) * 100
    let degree = surround * (1 - exp((-adaptingLuminance - 42) / 92) / 3.6)
    let k = 1 / (5 * adaptingLuminance + 1)
    let level =
      0.2 * pow(k, 4) * 5 * adaptingLuminance
      + 0.1 * pow(1 - pow(k, 4), 2) * cbrt(5 * adaptingLuminance)
    let n = background / white.y
    let brightness = 0.725 * pow(n, -0.2)
    let exponent = 1.48 + n.squareRoot()
    let sharpWhite = apply(sharpened, white)

    func response(_ xyz: SIMD3<Double>) -> SIMD3<Double> {
      let gain = degree * white.y / sharpWhite + (1 - degree)
      let adapted = apply(huntPointerEstevez, apply(unsharpened, gain * apply(sharpened, xyz)))
      func compress(_ value: Double) -> Double {
        let power = pow(level * abs(value) / 100, 0.42)
        return (value < 0 ? -1 : 1) * 400 * power / (27.13 + power) + 0.1
      }
      return SIMD3(compress(adapted.x), compress(adapted.y), compress(adapted.z))
    }
    func achromatic(_ r: SIMD3<Double>) -> Double {
      (2 * r.x + r.y + r.z / 20 - 0.305) * brightness
    }
    let r = response(xyz)
    let a = r.x - 12 * r.y / 11 + r.z / 11
    let b = (r.x + r.y - 2 * r.z) / 9
    let hue = atan2(b, a)
    let lightness =
      100 * pow(max(achromatic(r), 0) / achromatic(response(white)), impact * exponent)
    let eccentricity = (cos(hue + 2) + 3.8) / 4
    let t =
      50_000 / 13 * induction * brightness * eccentricity * (a * a + b * b).squareRoot()
      / (r.x + r.y + 1.05 * r.z)
    let chroma = pow(t, 0.9) * (lightness / 100).squareRoot() * pow(1.64 - pow(0.29, n), 0.73)
    let colourfulness = log(1 + 0.0228 * chroma * pow(level, 0.25)) / 0.0228
    return SIMD3(
      1.7 * lightness / (1 + 0.007 * lightness), colourfulness * cos(hue), colourfulness * sin(hue))
  }
}
