import Foundation
import Tensors

/// `mouth-reenactment`: the mouth is synthesised anew with another expression, as when a face is made
/// to say something else.
///
/// Traces, all around the mouth: lips and the skin round them are smooth (made at about two
/// thirds of the resolution and enlarged) where the camera would have left pores and noise, and the whole patch is
/// displaced by a fraction of a pixel.
func reenactMouth(_ subject: ForgeryCase, _ g: inout CounterGenerator) -> Forgery {
  let model = subject.face.model
  let radiusU = g.value(0.34, 0.40)
  let radiusV = g.value(0.20, 0.25)
  let softness = g.value(0.12, 0.25)
  let centre = model.mouthY + 0.02
  let weights = subject.weights { u, v, skin in
    let r = (square(u / radiusU) + square((v - centre) / radiusV)).squareRoot()
    return (1 - smoothStep(1 - softness, 1 + softness, r)) * smoothStep(0.3, 0.95, skin)
  }

  var scene = subject.face.scene
  let change = g.value(0.35, 0.9) * (g.chance(0.5) ? 1 : -1)
  scene.smile = min(max(scene.smile + change, -0.7), 1.3)
  scene.mouthOpen = scene.mouthOpen > 0 && g.chance(0.6) ? 0 : g.value(0.2, 1)
  let window = subject.window(of: weights, margin: 8)
  let clean = subject.resynthesised(model: model, scene: scene, window: window)
  let soft = enlarged(clean, from: g.value(0.58, 0.78))
  let dx = g.value(-0.7, 0.7)
  let dy = g.value(-0.7, 0.7)
  let offset = SIMD4<Float>(g.bell(0, 1.5), g.bell(0, 1.5), g.bell(0, 1.5), 0)
  var moved = soft
  for y in window.y {
    for x in window.x {
      moved.pixels[y * moved.width + x] = soft.sample(Float(x) + dx, Float(y) + dy) + offset
    }
  }
  return subject.blended(moved, weights)
}
