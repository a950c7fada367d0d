import Images

/// Finds faces in images and cuts them out, all in one way. One a thread, as ``FaceDetector``.
public final class FaceCropper {
  public let settings: FaceCropSettings
  private let detector: FaceDetector
  private let landmarkModel: LandmarkModel?

  /// - Parameter landmarkModel: needed for alignment; without alignment, crops have landmarks if there
  ///   is one.
  /// - Throws: ``FaceError`` for settings out of their range, or alignment without a model.
  public init(_ settings: FaceCropSettings, landmarkModel: LandmarkModel? = nil) throws {
    if let mistake = settings.mistake { throw FaceError(detail: mistake, exitStatus: .usage) }
    if settings.alignment == .similarity && landmarkModel == nil {
      throw FaceError(
        detail: "faces can be aligned only by a landmark model: give --landmark-model FILE, "
          + "or install Debian's libdlib-data (not for commercial use)",
        exitStatus: .usage)
    }
    self.settings = settings
    self.landmarkModel = landmarkModel
    detector = try FaceDetector()
  }

  /// What a shard of such faces says of them.
  public var preprocessing: FacePreprocessing {
    FacePreprocessing(
      settings: settings, detectorVersion: FaceDetector.version,
      landmarkModel: landmarkModel?.digest)
  }

  /// All faces of an image, largest first.
  /// - Throws: ``FaceError`` where there is no memory.
  public func faces(in image: RGBImage) throws -> [CroppedFace] {
    try boxes(in: image)
      .enumerated().sorted { ($1.element.area, $0.offset) < ($0.element.area, $1.offset) }
      .compactMap { crop($0.element, of: image, mask: nil) }
  }

  /// The one face of a video's frame that is packed, chosen by ``FaceTrack``, which is told of it; nil if
  /// there is none.
  ///
  /// - Parameter mask: of the frame's size.
  /// - Throws: ``FaceError`` where there is no memory, or the mask has another size.
  public func face(in image: RGBImage, mask: GreyMask? = nil, track: inout FaceTrack) throws
    -> CroppedFace?
  {
    try face(among: boxes(in: image), in: image, mask: mask, track: &track)
  }

  /// The same, of boxes that were found before. Finding takes most of the time, and several frames may be
  /// looked at at once; following goes from frame to frame.
  ///
  /// - Parameter boxes: what ``boxes(in:)`` gave of this image.
  /// - Throws: ``FaceError`` if the mask has another size.
  public func face(
    among boxes: [FaceBox], in image: RGBImage, mask: GreyMask? = nil, track: inout FaceTrack
  ) throws -> CroppedFace? {
    if let mask, (mask.width, mask.height) != (image.width, image.height) {
      throw FaceError(
        detail: "the mask has \(mask.width)×\(mask.height) pixels, its frame "
          + "\(image.width)×\(image.height)")
    }
    return track.choose(among: boxes, mask: mask)
      .flatMap { crop(boxes[$0], of: image, mask: mask) }
  }

  /// Faces of which anything lies in the image, best score first.
  /// - Throws: ``FaceError`` where there is no memory.
  public func boxes(in image: RGBImage) throws -> [FaceBox] {
    try detector.faces(
      in: image, grey: settings.detectsInGrey, upsampling: settings.upsampling
    ).filter {
      SquareRegion(
        around: $0, margin: settings.margin, width: image.width, height: image.height) != nil
    }
  }

  /// Cuts one face out of an image; nil where nothing of it lies in the image, or its landmarks are all
  /// one point.
  func crop(_ box: FaceBox, of image: RGBImage, mask: GreyMask?) -> CroppedFace? {
    let landmarks = landmarkModel?.landmarks(in: image, of: box)
    switch settings.alignment {
    case .none: return square(box, of: image, landmarks: landmarks, mask: mask)
    case .similarity: return aligned(box, of: image, landmarks: landmarks!, mask: mask)
    }
  }

  private func square(
    _ box: FaceBox, of image: RGBImage, landmarks: [SIMD2<Float>]?, mask: GreyMask?
  ) -> CroppedFace? {
    let size = settings.size
    guard
      let region = SquareRegion(
        around: box, margin: settings.margin, width: image.width, height: image.height)
    else { return nil }
    let cut = mask.map { mask in
      let levels = region.cut(
        RGBImage(
          width: mask.width, height: mask.height,
          pixels: mask.pixels.flatMap { [$0, $0, $0] }),
        size: size)
      return (0..<size * size).map { Self.marked(levels.pixels[3 * $0]) }
    }
    return CroppedFace(
      image: region.cut(image, size: size), box: box,
      landmarks: landmarks?.map { region.place($0, size: size) }, mask: cut)
  }

  private func aligned(
    _ box: FaceBox, of image: RGBImage, landmarks: [SIMD2<Float>], mask: GreyMask?
  ) -> CroppedFace? {
    let size = settings.size
    let points = AlignmentTemplate.landmarks.map { SIMD2<Double>(landmarks[$0]) }
    let goals = AlignmentTemplate.points(size: size, margin: settings.margin)
    guard let transform = SimilarityTransform(from: points, to: goals),
      let pixels = ImageWarp.warp(
        image.pixels, width: image.width, height: image.height, channels: 3, by: transform,
        size: size)
    else { return nil }
    let warped = mask.flatMap {
      ImageWarp.warp(
        $0.pixels, width: $0.width, height: $0.height, channels: 1, by: transform, size: size)
    }
    return CroppedFace(
      image: RGBImage(width: size, height: size, pixels: pixels), box: box,
      landmarks: landmarks.map { transform($0) }, mask: warped?.map(Self.marked))
  }

  /// A mask is forged or it is not, whatever resampling made of its edge.
  private static func marked(_ level: UInt8) -> UInt8 { level >= 128 ? 255 : 0 }
}
