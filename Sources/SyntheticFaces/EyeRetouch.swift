import Foundation
import Tensors

/// `eye-retouch`: both eyes are redrawn a little larger, with another gaze, and sharpened, as beauty
/// filters and gaze correction do.
///
/// Traces, all around the eyes: halos of strong sharpening on clean, noiseless texture, and the lamp
/// mirrored at different places in the two eyes.
func retouchEyes(_ subject: ForgeryCase, _ g: inout CounterGenerator) -> Forgery {
  var model = subject.face.model
  let radiusU = g.value(0.21, 0.245)
  let radiusV = g.value(0.135, 0.165)
  let softness = g.value(0.12, 0.25)
  let eyeX = model.eyeX
  let eyeY = model.eyeY + 0.005
  let weights = subject.weights { u, v, skin in
    let r = (square((abs(u) - eyeX) / radiusU) + square((v - eyeY) / radiusV)).squareRoot()
    return (1 - smoothStep(1 - softness, 1 + softness, r)) * smoothStep(0.3, 0.95, skin)
  }

  var scene = subject.face.scene
  scene.gaze += SIMD2(g.value(0.15, 0.5) * (g.chance(0.5) ? 1 : -1), g.bell(0, 0.12))
  scene.catchLightShift = SIMD2(g.value(0.4, 0.9) * (g.chance(0.5) ? 1 : -1), g.value(-0.4, 0.4))
  model.eyeHalfWidth *= g.value(1.02, 1.08)
  model.eyeHalfHeight *= g.value(1.05, 1.2)
  model.irisColour *= g.value(1.0, 1.35)
  let window = subject.window(of: weights, margin: 8)
  let clean = subject.resynthesised(model: model, scene: scene, window: window)
  let soft = clean.blurred(sigma: 1.0)
  let amount = g.value(1.1, 1.8)
  var sharp = clean
  for i in 0..<sharp.pixels.count {
    sharp.pixels[i] += (sharp.pixels[i] - soft.pixels[i]) * amount
  }
  return subject.blended(sharp, weights)
}
