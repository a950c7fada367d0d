import Tensors

/// A way of forging a face. The raw value is the name in `method_names`.
public enum ForgeryMethod: String, CaseIterable, Sendable {
  case faceSwap = "face-swap"
  case mouthReenactment = "mouth-reenactment"
  case eyeRetouch = "eye-retouch"
  case upsampled
  case skinSmoothing = "skin-smoothing"
}

/// A forged picture and how much of each pixel was forged.
struct Forgery: Sendable {
  /// Display values, 0…255.
  var image: Canvas
  /// `[height, width]`: 0 where the picture is untouched, to the bit; above 0 where it was forged.
  var weights: [Float]

  /// This one and then `next`, which was made of its picture and is blended in with `strength`, 0…1.
  func followed(by next: Forgery, strength: Float) -> Forgery {
    var both = next
    for i in weights.indices {
      if strength < 1, next.weights[i] > 0 {
        both.image.pixels[i] = mix(image.pixels[i], next.image.pixels[i], strength)
      }
      both.weights[i] = max(weights[i], next.weights[i])
    }
    return both
  }
}

/// A captured picture on its way to being forged, with all that a forger may use.
struct ForgeryCase: Sendable {
  /// The face as rendered (linear light, face coordinates).
  let face: RenderedFace
  /// The picture as the camera took it, or as forgers before have left it (display values).
  private(set) var captured: Canvas
  let camera: Camera
  /// The camera's exposure for this picture.
  let gain: Float
  /// Someone else, who is in no other picture.
  let donor: FaceModel

  init(face: RenderedFace, captured: Canvas, camera: Camera, gain: Float, donor: FaceModel) {
    (self.face, self.captured, self.camera) = (face, captured, camera)
    (self.gain, self.donor) = (gain, donor)
  }

  /// The same with what a forger before has left.
  func going(on picture: Canvas) -> ForgeryCase {
    var next = self
    next.captured = picture
    return next
  }

  var width: Int { captured.width }
  var height: Int { captured.height }

  /// A forger's own rendering, seen through the same lens and exposure, but without the noise, the
  /// sharpening and the compression that the camera adds: a generator's clean output.
  func resynthesised(model: FaceModel, scene: FaceScene, window: PixelWindow) -> Canvas {
    let face = FaceRenderer(model: model, scene: scene, size: captured.width)
      .render(window: window)
    return camera.developed(face.image, gain: gain)
  }

  /// The smallest window that holds all pixels of positive weight, with a margin.
  func window(of weights: [Float], margin: Int) -> PixelWindow {
    var x0 = width
    var x1 = -1
    var y0 = height
    var y1 = -1
    for y in 0..<height {
      for x in 0..<width where weights[y * width + x] > 0 {
        x0 = min(x0, x)
        x1 = max(x1, x)
        y0 = min(y0, y)
        y1 = max(y1, y)
      }
    }
    if x1 < 0 { return PixelWindow(x: 0..<width, y: 0..<height) }
    return PixelWindow(
      x: max(0, x0 - margin)..<min(width, x1 + margin + 1),
      y: max(0, y0 - margin)..<min(height, y1 + margin + 1))
  }

  /// Weights from face coordinates; what is nearly nothing becomes nothing, so that the mask ends
  /// where the eye could still tell.
  func weights(_ weight: (_ u: Float, _ v: Float, _ skin: Float) -> Float) -> [Float] {
    var result = [Float](repeating: 0, count: width * height)
    for i in 0..<result.count {
      let w = weight(face.u[i], face.v[i], face.skin[i])
      result[i] = w < 0.04 ? 0 : min(w, 1)
    }
    return result
  }

  /// The captured picture with `replacement` blended in by `weights`.
  func blended(_ replacement: Canvas, _ weights: [Float]) -> Forgery {
    var image = captured
    for i in 0..<weights.count where weights[i] > 0 {
      image.pixels[i] = mix(image.pixels[i], replacement.pixels[i], weights[i])
    }
    return Forgery(image: image, weights: weights)
  }

  /// Mean display colour of a picture under weights.
  func mean(_ picture: Canvas, _ weights: [Float]) -> SIMD4<Float> {
    var sum = SIMD4<Float>.zero
    var total: Float = 0
    for i in 0..<weights.count where weights[i] > 0 {
      sum += picture.pixels[i] * weights[i]
      total += weights[i]
    }
    return total > 0 ? sum / total : .zero
  }
}

extension ForgeryMethod {
  /// Forges one picture; a pure function of its arguments.
  func forge(_ subject: ForgeryCase, generator: CounterGenerator) -> Forgery {
    var generator = generator
    switch self {
    case .faceSwap: return swapFace(subject, &generator)
    case .mouthReenactment: return reenactMouth(subject, &generator)
    case .eyeRetouch: return retouchEyes(subject, &generator)
    case .upsampled: return upsampleFace(subject, &generator)
    case .skinSmoothing: return smoothSkin(subject, &generator)
    }
  }
}
