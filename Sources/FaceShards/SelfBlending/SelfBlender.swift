import Faces
import Images

/// Makes the fakes of real faces that a ``SampleOrder`` draws, and gives the real faces beside them what
/// keeps the comparison fair (`SelfBlending`).
struct SelfBlender: Sendable {
  private let set: ShardSet
  private let seed: UInt64
  private let share: Double
  /// How faces were cut out, where the shards say it.
  private let crop: FaceCropSettings?

  /// - Parameter share: of the fakes that are made so.
  init(set: ShardSet, seed: UInt64, share: Double) {
    self.set = set
    self.seed = seed
    self.share = share
    crop = set.preprocessing.flatMap { try? FacePreprocessing(parsing: $0.text) }?.settings
  }

  /// The picture that a draw stands for.
  ///
  /// - Parameter stored: the sample's.
  /// - Throws: what reading landmarks throws.
  func picture(of draw: SampleDraw, _ stored: RGBImage) throws -> RGBImage {
    if draw.isSelfBlended { return try fake(of: draw, stored).picture }
    guard set.labels[draw.sample] == 0 else { return stored }
    return SelfBlending.real(
      stored, besides: share, seed: seed, visit: draw.visit, sample: draw.identifier(in: set))
  }

  /// The fake that a draw stands for, and where it is forged.
  func fake(of draw: SampleDraw, _ stored: RGBImage) throws -> (picture: RGBImage, mask: [UInt8]) {
    let blending = SelfBlending(
      seed: seed, visit: draw.visit, sample: draw.identifier(in: set))
    return blending.applied(to: stored, face: try extent(of: draw.sample))
  }

  /// Where a sample's face lies: by its landmarks, or else by its box and how it was cut out.
  private func extent(of sample: Int) throws -> FaceExtent {
    let (landmarks, box) = try set.readFace(sample)
    if let landmarks,
      let hull = FaceExtent(landmarks: landmarks, width: set.width, height: set.height)
    {
      return hull
    }
    // In an aligned crop the face lies by its landmarks, not its box.
    let margin = crop.flatMap { $0.alignment == .none ? $0.margin : nil }
    return FaceExtent(box: box, margin: margin, width: set.width, height: set.height)
  }
}

extension SampleDraw {
  /// What is added to the identifier of a sample for that of the fake that is made of it: more than any data
  /// set has samples.
  static let selfBlendedIdentifiers = 1 << 40

  /// What tells the draw's image from all others of a job, whichever rank draws it: random draws are keyed
  /// by it.
  func identifier(in set: ShardSet) -> Int {
    set.identifier(of: sample) + (isSelfBlended ? Self.selfBlendedIdentifiers : 0)
  }
}

extension ShardSet {
  /// The method of fakes that are made of the set's real faces: an index into
  /// ``methodNamesWithSelfBlended()``.
  public var selfBlendedMethod: UInt8 {
    UInt8(methodNames.firstIndex(of: ShardFormat.selfBlended) ?? methodNames.count)
  }

  /// The set's method names and "self-blended", if that is not among them.
  ///
  /// - Throws: ``ShardError`` if there are too many.
  public func methodNamesWithSelfBlended() throws -> [String] {
    if methodNames.contains(ShardFormat.selfBlended) { return methodNames }
    guard methodNames.count < ShardFormat.methodLimit else {
      throw ShardError(
        file: shards[0].path,
        reason:
          "the shards have \(methodNames.count - 1) methods, and with data.self_blended one more: "
          + "\(ShardFormat.methodLimit - 1) are the most")
    }
    return methodNames + [ShardFormat.selfBlended]
  }
}
