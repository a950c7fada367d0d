import Foundation
import Tensors

/// How somebody moves in front of a camera: head and gaze drift as sums of two slow waves each, the mouth
/// speaks, the eyes blink now and then.
struct FaceMotion: Sendable {
  /// Of yaw, pitch, roll, shift to the right and downwards, gaze: amplitude, frequency in hertz, phase.
  private var waves: [[SIMD3<Float>]] = []
  private var speech: SIMD3<Float>
  private var blinks: SIMD2<Float>
  /// How large the face is in the picture, of a crop around it.
  private var zoom: Float

  init(seed: UInt64, video: Int) {
    var g = CounterGenerator(
      seed: seed, epoch: SynthesisStream.motion.rawValue, sample: UInt64(video),
      purpose: .synthesis)
    for amplitude: Float in [0.16, 0.07, 0.05, 0.16, 0.1, 0.12] {
      waves.append(
        (0..<2).map { _ in
          SIMD3(amplitude * g.value(0.3, 1), g.value(0.08, 0.5), g.value(0, 6.283_185))
        })
    }
    speech = SIMD3(g.value(0.3, 0.9), g.value(1.2, 2.6), g.value(0, 6.283_185))
    blinks = SIMD2(g.value(2, 4.5), g.value(0, 2))
    zoom = g.value(0.5, 0.7)
  }

  /// `scene` at `time` seconds.
  func moved(_ scene: FaceScene, to time: Float) -> FaceScene {
    func value(_ wave: Int) -> Float {
      waves[wave].reduce(0) { $0 + $1.x * sinf(6.283_185 * $1.y * time + $1.z) }
    }
    var moved = scene
    moved.yaw += value(0)
    moved.pitch += value(1)
    moved.roll += value(2)
    moved.shift += SIMD2(value(3), value(4))
    moved.gaze.x += value(5)
    moved.zoom *= zoom
    moved.mouthOpen = max(
      0, min(1, speech.x * (0.5 + 0.5 * sinf(6.283_185 * speech.y * time + speech.z))))
    // A blink takes about a fifth of a second.
    let phase = (time + blinks.y).truncatingRemainder(dividingBy: blinks.x)
    if phase < 0.2 { moved.eyesOpen *= abs(phase - 0.1) / 0.1 * 0.9 + 0.1 }
    return moved
  }
}
