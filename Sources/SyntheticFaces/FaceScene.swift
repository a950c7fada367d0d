import Foundation
import Tensors

/// What changes from picture to picture of the same identity: pose, expression, light, surroundings.
struct FaceScene: Sendable {
  /// Radians; positive yaw turns the face to the right of the picture, positive pitch downwards.
  var yaw: Float
  var pitch: Float
  var roll: Float
  /// What is left after aligning the crop: shift in face units, and scale.
  var shift: SIMD2<Float>
  var zoom: Float
  // Expression.
  var smile: Float
  var mouthOpen: Float
  var eyesOpen: Float
  var gaze: SIMD2<Float>
  var browRaise: Float
  // Light: a key light, a fill from the other side and an ambient dome.
  var key: SIMD4<Float>  // direction towards the light, unit length
  var keyColour: SIMD4<Float>
  var fill: SIMD4<Float>
  var fillColour: SIMD4<Float>
  var ambient: SIMD4<Float>
  /// Where the key light is mirrored in the eyes, in iris radii.
  var catchLight: SIMD2<Float>
  /// How much further it sits in the right eye of the picture: none in nature, some in forgeries.
  var catchLightShift: SIMD2<Float> = .zero
  // Surroundings.
  var clothes: SIMD4<Float>
  var background: Background

  struct Background: Sendable {
    var first: SIMD4<Float>
    var second: SIMD4<Float>
    var third: SIMD4<Float>
    var gradient: SIMD2<Float>
    var cloudScale: Float
    var cloudAmount: Float
    var texture: Float
    var blobs: [SIMD4<Float>]  // x, y, radius, strength
    var bars: SIMD4<Float>  // frequency x, frequency y, phase, strength
    var seed: UInt32
  }

  /// Draws the scene of picture `picture` of the data set with this seed.
  ///
  /// - Parameter variation: ``SynthesisDifficulty/variation``.
  init(seed: UInt64, picture: Int, variation: Float = 1) {
    var g = CounterGenerator(
      seed: seed, epoch: SynthesisStream.scene.rawValue, sample: UInt64(picture),
      purpose: .synthesis)
    yaw = g.bell(0, 0.15 * variation)
    pitch = g.bell(0, 0.075 * variation)
    roll = g.bell(0, 0.035 * variation)
    shift = SIMD2(g.bell(0, 0.02 * variation), g.bell(0, 0.02 * variation))
    zoom = g.bell(1, 0.03 * variation)
    smile = g.bell(0.3, 0.45)
    mouthOpen = g.chance(0.35) ? g.value(0.1, 1) : 0
    eyesOpen = g.value(0.72, 1.1)
    gaze = SIMD2(g.bell(0, 0.22), g.bell(0, 0.1))
    browRaise = g.bell(0, 0.012)

    let azimuth = g.bell(0, 0.65)
    let elevation = g.value(0.1, 1)
    let c = cosf(elevation)
    key = SIMD4(sinf(azimuth) * c, -sinf(elevation), cosf(azimuth) * c, 0)
    let warmth = g.bell(0, 0.5)
    let keyStrength = g.value(0.7, 1.5)
    keyColour = SIMD4(1 + 0.10 * warmth, 1, 1 - 0.14 * warmth, 0) * keyStrength
    fill = SIMD4(-key.x * 0.8 - 0.2, g.value(-0.3, 0.3), 0.7, 0)
    fill /= (fill * fill).sum().squareRoot()
    let cool = g.bell(0, 0.5)
    fillColour = SIMD4(1 - 0.1 * cool, 1, 1 + 0.12 * cool, 0) * g.value(0.1, 0.5)
    ambient = SIMD4(1 - 0.06 * cool, 1, 1 + 0.08 * cool, 0) * g.value(0.22, 0.5)
    catchLight = SIMD2((key.x < 0 ? -0.28 : 0.28) + key.x * 0.3, -0.25 + key.y * 0.3)

    func colour(_ g: inout CounterGenerator, _ low: Float, _ high: Float) -> SIMD4<Float> {
      let grey = g.value(low, high)
      let spread = g.value(0.1, 0.5)
      return SIMD4(
        grey * (1 + spread * g.value(-1, 1)), grey * (1 + spread * g.value(-1, 1)),
        grey * (1 + spread * g.value(-1, 1)), 0)
    }
    clothes = colour(&g, 0.02, 0.5)
    var blobs: [SIMD4<Float>] = []
    if g.chance(0.6) {
      for _ in 0..<(1 + g.below(6)) {
        blobs.append(
          SIMD4(g.value(-1.3, 1.3), g.value(-1.3, 1.3), g.value(0.08, 0.45), g.value(-0.7, 0.9)))
      }
    }
    let angle = g.value(0, 6.283_185)
    let barAngle = g.chance(0.5) ? 0 : g.value(-0.3, 0.3) + 1.570_796
    let barFrequency = g.value(2, 9)
    background = Background(
      first: colour(&g, 0.03, 0.7), second: colour(&g, 0.03, 0.7), third: colour(&g, 0.03, 0.7),
      gradient: SIMD2(cosf(angle), sinf(angle)), cloudScale: g.value(0.8, 3),
      cloudAmount: g.value(0.1, 0.9), texture: g.chance(0.5) ? g.value(0.02, 0.18) : 0,
      blobs: blobs,
      bars: SIMD4(
        cosf(barAngle) * barFrequency, sinf(barAngle) * barFrequency, g.value(0, 6.28),
        g.chance(0.3) ? g.value(0.1, 0.4) : 0), seed: g.nextUInt32())
  }
}
