import Foundation
import Tensors

/// `face-swap`: the inner face of another identity, in the same pose, blended over the subject's.
///
/// Traces, all within the inner face: the donor was generated at a lower resolution (as the 64–160
/// pixel faces of deepfake autoencoders are) and enlarged, so it lacks the camera's noise and finest
/// detail; light falls on it from a slightly different side; its colour is matched to the subject's
/// only up to a few grey levels; and the soft seam runs across cheeks, forehead and chin.
func swapFace(_ subject: ForgeryCase, _ g: inout CounterGenerator) -> Forgery {
  let radiusU = g.value(0.47, 0.55)
  let radiusV = g.value(0.52, 0.60)
  let centre = g.value(0.14, 0.20)
  let softness = g.value(0.10, 0.22)
  let weights = subject.weights { u, v, skin in
    let r = (square(u / radiusU) + square((v - centre) / radiusV)).squareRoot()
    return (1 - smoothStep(1 - softness, 1 + softness, r)) * smoothStep(0.3, 0.95, skin)
  }

  var scene = subject.face.scene
  scene.key = normalised(
    scene.key + SIMD4(g.bell(0, 0.18), g.bell(0, 0.12), 0, 0))
  scene.keyColour *= g.value(0.85, 1.15)
  scene.gaze = SIMD2(g.bell(0, 0.2), g.bell(0, 0.1))
  scene.smile = g.bell(scene.smile, 0.25)
  // Without this the donor's hair would be swapped in too.
  var donor = subject.donor
  donor.bald = true
  // Forgers choose a donor of like complexion, bearded or not as the subject is.
  donor.skin = mix(donor.skin, subject.face.model.skin, 0.85)
  donor.beard = subject.face.model.beard
  donor.stubble = subject.face.model.stubble
  donor.lipColour = mix(donor.lipColour, subject.face.model.lipColour, 0.6)
  donor.spectacles = 0
  let window = subject.window(of: weights, margin: 6)
  let clean = subject.resynthesised(model: donor, scene: scene, window: window)
  var swapped = enlarged(clean, from: g.value(0.66, 0.88))

  let wanted = subject.mean(subject.captured, weights)
  let found = subject.mean(swapped, weights)
  var match = SIMD4<Float>(repeating: 1)
  for k in 0..<3 { match[k] = min(max(wanted[k] / max(found[k], 1), 0.5), 2) }
  let mismatch = SIMD4<Float>(g.bell(0, 3), g.bell(0, 2.5), g.bell(0, 3), 0)
  var grain = GrainGenerator(seed: g.next())
  let faint = subject.camera.noise * g.value(0.1, 0.4)
  for i in 0..<swapped.pixels.count where weights[i] > 0 {
    swapped.pixels[i] = swapped.pixels[i] * match + mismatch + grain.colour() * faint
  }
  return subject.blended(swapped, weights)
}

/// A picture as if it had been made at `scale` times its size and enlarged.
func enlarged(_ picture: Canvas, from scale: Float) -> Canvas {
  let w = max(8, Int(Float(picture.width) * scale))
  let h = max(8, Int(Float(picture.height) * scale))
  return picture.blurred(sigma: 0.28 / scale).resampled(width: w, height: h)
    .resampled(width: picture.width, height: picture.height)
}
