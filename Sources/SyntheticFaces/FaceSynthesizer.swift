import Tensors

/// One picture of a synthetic data set.
public struct SyntheticPicture: Sendable {
  /// RGB bytes, `[size, size, 3]`.
  public var image: [UInt8]
  /// `[size, size]`: 255 where forged, else 0; all 0 for a real picture.
  public var mask: [UInt8]
}

/// Makes pictures of faces, real and forged, each a pure function of the seed and its number.
public struct FaceSynthesizer: Sendable {
  public let seed: UInt64
  public let size: Int
  public let difficulty: SynthesisDifficulty

  /// - Parameter size: pixels along each side, even, at least 32.
  public init(seed: UInt64, size: Int, difficulty: SynthesisDifficulty = SynthesisDifficulty()) {
    precondition(
      size >= 32 && size % 2 == 0, "FaceSynthesizer: expected an even size of at least 32")
    self.seed = seed
    self.size = size
    self.difficulty = difficulty
  }

  /// Picture `number` of the data set, of identity `identity`: real, or forged by `method`.
  public func picture(number: Int, identity: Int, method: ForgeryMethod?) -> SyntheticPicture {
    let stages = self.stages(number: number, identity: identity, method: method)
    let distribution = Distribution(
      seed: seed, picture: number, variation: difficulty.variation)
    let final = distribution.applied(to: stages.forgery?.image ?? stages.captured)
    let mask =
      stages.forgery?.weights.map { $0 > 0 ? UInt8(255) : 0 }
      ?? [UInt8](repeating: 0, count: size * size)
    return SyntheticPicture(image: final.bytes(), mask: mask)
  }

  /// The picture as captured, and as forged, before it is distributed.
  func stages(number: Int, identity: Int, method: ForgeryMethod?)
    -> (captured: Canvas, forgery: Forgery?)
  {
    stages(
      FaceModel(seed: seed, identity: identity), scene(number), camera(number), number: number,
      method: method, donor: FaceModel(seed: seed, donorOf: number))
  }

  func scene(_ number: Int) -> FaceScene {
    FaceScene(seed: seed, picture: number, variation: difficulty.variation)
  }

  func camera(_ number: Int) -> Camera {
    Camera(seed: seed, picture: number, variation: difficulty.variation)
  }

  /// The same of any face in any scene.
  func stages(
    _ model: FaceModel, _ scene: FaceScene, _ camera: Camera, number: Int, method: ForgeryMethod?,
    donor: @autoclosure () -> FaceModel
  ) -> (captured: Canvas, forgery: Forgery?) {
    let face = FaceRenderer(model: model, scene: scene, size: size).render()
    let gain = camera.gain(for: face.image)
    let captured = camera.capture(face.image, gain: gain)
    guard let method else { return (captured, nil) }
    func draws(_ stream: SynthesisStream) -> CounterGenerator {
      CounterGenerator(
        seed: seed, epoch: stream.rawValue, sample: UInt64(number), purpose: .synthesis)
    }
    let subject = ForgeryCase(
      face: face, captured: captured, camera: camera, gain: gain, donor: donor())
    // A method draws the same, whether other traces follow or not.
    let forgery = difficulty.methods(of: method, draws(.furtherTraces)).reduce(
      Forgery(image: captured, weights: [Float](repeating: 0, count: size * size))
    ) { forgery, method in
      forgery.followed(
        by: method.forge(subject.going(on: forgery.image), generator: draws(.manipulation)),
        strength: difficulty.strength)
    }
    return (captured, forgery)
  }
}
