import Foundation

/// Brings light encoded for high dynamic range to 8-bit SDR, as a display of 1000 cd/m² shows it:
///
/// 1. to the light of that display: PQ's EOTF (ITU-R BT.2100-2, table 4), or HLG's inverse OETF and
///    OOTF (table 5, peak 1000 cd/m², γ = 1.2, black 0);
/// 2. to the 203 cd/m² of reference white (BT.2408-7, table 1): the EETF of BT.2408-7, annex 5
///    (formerly BT.2390-8, 5.4), from 1000, in PQ, on the largest of R, G and B, of which the others
///    keep their ratio, so that no hue changes;
/// 3. from BT.2020's primaries to BT.709's (BT.2087-0, annex 1), clipped to what those can show;
/// 4. to the signal of a display after BT.1886: (L / 203)^(1 / 2.4), of 8 bits.
///
/// No tone mapping is the only right one; this one is made of published steps, has no settings, looks
/// at one pixel at a time and at no metadata.
struct HighDynamicRange: Sendable {
  static let perceptualQuantizer = HighDynamicRange { signal in pq(toLight: signal) }
  static let hybridLogGamma = HighDynamicRange(isScene: true) { signal in
    hlg(toScene: signal)
  }

  static let peak = 1000.0
  static let white = 203.0

  /// Light of each of the signal's 16-bit values: in cd/m², or of the scene, 0 … 1.
  private let light: [Float]
  private let isScene: Bool
  /// The EETF as the factor of a light L ≤ 1000, by √(L / 1000) in steps.
  private let factor: [Float]
  /// The signal of SDR, 0 … 255, by √(L / 203) in steps.
  private let signal: [Float]

  private static let steps = 4096

  private init(isScene: Bool = false, _ toLight: (Double) -> Double) {
    self.isScene = isScene
    light = (0...65535).map { Float(toLight(Double($0) / 65535)) }
    factor = (0...Self.steps).map { step in
      let root = max(Double(step), 0.01) / Double(Self.steps)
      let light = root * root * Self.peak
      return Float(Self.mapped(light) / light)
    }
    signal = (0...Self.steps).map { step in
      Float(255 * pow(Double(step) / Double(Self.steps), 2 / 2.4))
    }
  }

  // MARK: Formulas

  private static let (m1, m2) = (2610.0 / 16384, 2523.0 / 4096 * 128)
  private static let (c1, c2, c3) = (3424.0 / 4096, 2413.0 / 4096 * 32, 2392.0 / 4096 * 32)

  /// cd/m² of a signal of PQ, 0 … 1.
  static func pq(toLight signal: Double) -> Double {
    let root = pow(signal, 1 / m2)
    return 10000 * pow(max(root - c1, 0) / (c2 - c3 * root), 1 / m1)
  }

  /// The signal of PQ, 0 … 1, of cd/m².
  static func pq(ofLight light: Double) -> Double {
    let power = pow(light / 10000, m1)
    return pow((c1 + c2 * power) / (1 + c3 * power), m2)
  }

  /// Light of the scene, 0 … 1, of a signal of HLG.
  static func hlg(toScene signal: Double) -> Double {
    let a = 0.17883277
    let b = 1 - 4 * a
    let c = 0.5 - a * log(4 * a)
    return signal <= 0.5 ? signal * signal / 3 : (exp((signal - c) / a) + b) / 12
  }

  /// The EETF: cd/m² of a display of `white` for those of one of `peak`, both black at 0.
  static func mapped(_ light: Double) -> Double {
    let most = pq(ofLight: peak)
    let e1 = min(pq(ofLight: light) / most, 1)
    let maximum = pq(ofLight: white) / most
    let knee = 1.5 * maximum - 0.5
    guard e1 > knee else { return light }
    let t = (e1 - knee) / (1 - knee)
    let (t2, t3) = (t * t, t * t * t)
    let e2 =
      (2 * t3 - 3 * t2 + 1) * knee + (t3 - 2 * t2 + t) * (1 - knee) + (-2 * t3 + 3 * t2) * maximum
    return pq(toLight: e2 * most)
  }

  // MARK: Pixels

  /// A table's value at √`square`, which is 0 … 1.
  private static func look(
    _ table: UnsafeBufferPointer<Float>, square: Float
  ) -> Float {
    let place = square.squareRoot() * Float(steps)
    let low = min(Int(place), steps - 1)
    let part = place - Float(low)
    return table[low] + part * (table[low + 1] - table[low])
  }

  /// The SDR pixels, [pixels, 3], of signals [pixels, 3] of 16 bits. `isWide` where the primaries are
  /// BT.2020's.
  func standard(_ signals: [UInt16], isWide: Bool) -> [UInt8] {
    let (peak, white) = (Float(Self.peak), Float(Self.white))
    return [UInt8](unsafeUninitializedCapacity: signals.count) { out, initialised in
      signals.withUnsafeBufferPointer { signals in
        light.withUnsafeBufferPointer { light in
          factor.withUnsafeBufferPointer { factor in
            signal.withUnsafeBufferPointer { signal in
              for pixel in stride(from: 0, to: signals.count - 2, by: 3) {
                var r = light[Int(signals[pixel])]
                var g = light[Int(signals[pixel + 1])]
                var b = light[Int(signals[pixel + 2])]
                if isScene {
                  // F = 1000 · Y^(γ − 1) · E, γ = 1.2.
                  let luminance = 0.2627 * r + 0.6780 * g + 0.0593 * b
                  let gain = peak * powf(luminance, 0.2)
                  r *= gain
                  g *= gain
                  b *= gain
                }
                let largest = max(r, g, b)
                // Above the peak all is the peak.
                let scale =
                  largest > peak
                  ? white / largest : Self.look(factor, square: largest / peak)
                r *= scale / white
                g *= scale / white
                b *= scale / white
                if isWide {
                  (r, g, b) = (
                    1.660491 * r - 0.587641 * g - 0.072850 * b,
                    -0.124550 * r + 1.132900 * g - 0.008349 * b,
                    -0.018151 * r - 0.100579 * g + 1.118730 * b
                  )
                }
                for (channel, value) in [r, g, b].enumerated() {
                  let clipped = min(max(value, 0), 1)
                  out[pixel + channel] = UInt8(Self.look(signal, square: clipped) + 0.5)
                }
              }
            }
          }
        }
      }
      initialised = signals.count
    }
  }
}
