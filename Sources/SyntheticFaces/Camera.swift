import Foundation
import Tensors

/// How a picture is taken and passed on. Real pictures and forged ones go through the same two
/// stages: `capture` makes display values from linear light; forgery happens on captured pictures;
/// `distribute` is what every picture suffers on its way to a data set.
struct Camera: Sendable {
  /// Gaussian blur of the lens and of the sensor's filter, in pixels.
  var blur: Float
  var exposure: Float
  var whiteBalance: SIMD4<Float>
  var contrast: Float
  var saturation: Float
  var vignette: Float
  /// Standard deviation of the noise in display values at mid-grey.
  var noise: Float
  /// Share of the noise that differs between the colour channels.
  var colourNoise: Float
  var sharpening: Float
  var firstQuality: Int
  private var noiseSeed: UInt64

  /// - Parameter variation: ``SynthesisDifficulty/variation``.
  init(seed: UInt64, picture: Int, variation: Float = 1) {
    var g = CounterGenerator(
      seed: seed, epoch: SynthesisStream.camera.rawValue, sample: UInt64(picture),
      purpose: .synthesis)
    blur = g.value(0.25, 0.75 * variation)
    exposure = g.value(0.85, 1.2)
    let warmth = g.bell(0, 0.035)
    whiteBalance = SIMD4(1 + warmth, 1, 1 - warmth, 0)
    contrast = g.value(-0.1, 0.25)
    saturation = g.value(0.85, 1.15)
    vignette = g.value(0, 0.25)
    noise = g.value(2.8 / variation, 5.6 * variation)
    colourNoise = g.value(0.25, 0.7)
    sharpening = g.value(0, 0.5)
    let lowest = 92 - Int(10 * (variation - 1))
    firstQuality = lowest + g.below(100 - lowest)
    noiseSeed = g.next()
  }

  /// The same camera with the noise of a frame of its own.
  func noise(ofFrame frame: Int) -> Camera {
    var camera = self
    camera.noiseSeed = noiseSeed &+ UInt64(frame) &* 0x9E37_79B9_7F4A_7C15
    return camera
  }

  /// The automatic exposure for a scene in linear light: the geometric mean of the middle of the
  /// picture is brought halfway towards mid-grey.
  func gain(for light: Canvas) -> Float {
    let w = light.width
    let h = light.height
    var sum: Float = 0
    var count: Float = 0
    for y in stride(from: h / 6, to: h - h / 6, by: 4) {
      for x in stride(from: w / 6, to: w - w / 6, by: 4) {
        sum += logf(max(luminance(light.pixels[y * w + x]), 1e-3))
        count += 1
      }
    }
    let mean = expf(sum / max(count, 1))
    return exposure * powf(0.20 / max(mean, 0.02), 0.55)
  }

  /// Display values (0…255) of linear light through the lens and the tone curve, without noise.
  func developed(_ light: Canvas, gain: Float) -> Canvas {
    var picture = light.blurred(sigma: blur)
    let w = picture.width
    let h = picture.height
    for y in 0..<h {
      let dy = (Float(y) + 0.5) / Float(h) - 0.5
      for x in 0..<w {
        let dx = (Float(x) + 0.5) / Float(w) - 0.5
        let i = y * w + x
        let c = picture.pixels[i] * whiteBalance * (gain * (1 - vignette * 2 * (dx * dx + dy * dy)))
        picture.pixels[i] = toneMapped(mix(SIMD4(repeating: luminance(c)), c, saturation))
      }
    }
    return picture
  }

  /// The picture as the camera stores it, in whole display values: developed, with sensor noise,
  /// sharpened, and compressed by the camera.
  func capture(_ light: Canvas, gain: Float) -> Canvas {
    var picture = developed(light, gain: gain)
    var grain = GrainGenerator(seed: noiseSeed)
    let common = noise * (1 - colourNoise)
    let separate = noise * colourNoise * 1.3
    for i in 0..<picture.pixels.count {
      // Photon noise grows with the root of the light; after the gamma curve it is strongest in
      // the darker middle tones.
      let d = picture.pixels[i]
      let level = clamp01((d.x + d.y + d.z) * (1 / 765.0))
      let strength = 0.55 + 1.6 * level * (1 - level)
      picture.pixels[i] +=
        (SIMD4(repeating: grain.next() * common) + grain.colour() * separate) * strength
    }
    if sharpening > 0 {
      let soft = picture.blurred(sigma: 0.9)
      for i in 0..<picture.pixels.count {
        picture.pixels[i] += (picture.pixels[i] - soft.pixels[i]) * sharpening
      }
    }
    for i in 0..<picture.pixels.count {
      picture.pixels[i].w = 0
      picture.pixels[i].clamp(lowerBound: .zero, upperBound: SIMD4(repeating: 255))
    }
    return BlockCompression(quality: firstQuality, subsampled: false).applied(to: picture)
  }

  /// A shoulder for the highlights, the contrast curve and the sRGB-like gamma, to 0…255.
  @inline(__always)
  private func toneMapped(_ c: SIMD4<Float>) -> SIMD4<Float> {
    var out = SIMD4<Float>.zero
    for k in 0..<3 {
      let x = max(c[k], 0)
      let rolled = x < 0.6 ? x : 0.6 + 0.4 * (1 - expf(-(x - 0.6) / 0.4))
      // x^(1/2.2) by way of the cheaper binary exponential.
      let g = exp2f(log2f(max(rolled, 1e-6)) * (1 / 2.2))
      let s = g + contrast * (g - 0.5) * (4 * g * (1 - g)) * 0.5
      out[k] = 255 * s
    }
    return out
  }
}

/// The way from a captured (and perhaps forged) picture into the data set, the same for real and fake.
struct Distribution: Sendable {
  var blur: Float
  var quality: Int
  var subsampled: Bool
  var brightness: Float

  /// - Parameter variation: ``SynthesisDifficulty/variation``.
  init(seed: UInt64, picture: Int, variation: Float = 1) {
    var g = CounterGenerator(
      seed: seed, epoch: SynthesisStream.distribution.rawValue, sample: UInt64(picture),
      purpose: .synthesis)
    blur = g.chance(0.25 * variation) ? g.value(0.2, 0.4 * variation) : 0
    let lowest = 90 - Int(15 * (variation - 1))
    quality = lowest + g.below(99 - lowest)
    subsampled = g.chance(0.5)
    brightness = g.bell(0, 4 * variation)
  }

  func applied(to picture: Canvas) -> Canvas {
    var result = picture.blurred(sigma: blur)
    for i in 0..<result.pixels.count {
      result.pixels[i] += SIMD4(brightness, brightness, brightness, 0)
      result.pixels[i].clamp(lowerBound: .zero, upperBound: SIMD4(repeating: 255))
    }
    return BlockCompression(quality: quality, subsampled: subsampled).applied(to: result)
  }
}
