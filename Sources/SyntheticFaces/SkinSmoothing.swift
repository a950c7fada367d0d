import Foundation
import Tensors

/// `skin-smoothing`: cheeks and forehead are smoothed as beauty filters do, keeping edges, and made
/// grainy again so that they don't look like plastic.
///
/// Traces, on cheeks and forehead only: pores and sensor noise are gone, and the grain that replaced
/// them is colourless and coarser than the camera's (made at half resolution). The skin is also a few
/// grey levels lighter there.
func smoothSkin(_ subject: ForgeryCase, _ g: inout CounterGenerator) -> Forgery {
  let model = subject.face.model
  let spread = g.value(1.05, 1.2)
  let foreheadY = -0.40 + g.value(-0.02, 0.02)
  let weights = subject.weights { u, v, skin in
    let au = abs(u)
    let cheek = (square((au - 0.40) / 0.21) + square((v - 0.20) / 0.25)).squareRoot() / spread
    let forehead = (square(u / 0.44) + square((v - foreheadY) / 0.17)).squareRoot() / spread
    let brow = smoothStep(0.02, 0.06, model.eyeY - model.browLift - v)
    let w = max(1 - smoothStep(0.8, 1.15, cheek), (1 - smoothStep(0.8, 1.15, forehead)) * brow)
    return w * smoothStep(0.5, 1, skin)
  }

  let picture = subject.captured
  let w = picture.width
  let h = picture.height
  let soft = picture.blurred(sigma: g.value(1.5, 2.2))
  let threshold = g.value(22, 30)
  var grain = GrainGenerator(seed: g.next())
  let grainStrength = subject.camera.noise * g.value(0.1, 0.25)
  var coarse = Canvas(width: w / 2, height: h / 2)
  for i in 0..<coarse.pixels.count {
    let n = grain.next() * grainStrength
    coarse.pixels[i] = SIMD4(n, n, n, 0)
  }
  let noise = coarse.resampled(width: w, height: h)
  let lift = SIMD4<Float>(1, 1, 1, 0) * g.value(3, 8)
  var smoothed = picture
  for i in 0..<smoothed.pixels.count where weights[i] > 0 {
    let difference = picture.pixels[i] - soft.pixels[i]
    let contrast = abs(0.3 * difference.x + 0.59 * difference.y + 0.11 * difference.z)
    let keep = smoothStep(threshold * 0.5, threshold, contrast)
    smoothed.pixels[i] = soft.pixels[i] + difference * keep + noise.pixels[i] + lift
  }
  return subject.blended(smoothed, weights)
}
