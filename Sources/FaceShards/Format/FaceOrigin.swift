/// Where a stored face was found in the file that it comes from.
public struct FaceOrigin: Sendable, Equatable {
  /// Index of the frame among those of its video that decode, from 0; ``noFrame`` where the file is an
  /// image.
  public var frame: Int32
  /// The detected face in the upright source image, in its pixels, before margin and squaring: left, top,
  /// right, bottom, as dlib's rectangles have them.
  public var box: SIMD4<Float>
  /// 68 points (x, y) in pixels of the stored image, in the order of the iBUG 300-W annotation; `nil` where
  /// no landmarks were looked for.
  public var landmarks: [SIMD2<Float>]?

  /// The frame of what is not a video.
  public static let noFrame: Int32 = -1
  /// Points of a face.
  public static let landmarkCount = 68

  public init(frame: Int32 = noFrame, box: SIMD4<Float>, landmarks: [SIMD2<Float>]? = nil) {
    precondition(
      landmarks.map { $0.count == Self.landmarkCount } ?? true,
      "a face has \(Self.landmarkCount) landmarks")
    self.frame = frame
    self.box = box
    self.landmarks = landmarks
  }
}

/// The origins of a shard's images, as they grow while it is written.
struct FaceOriginColumns {
  /// Whether every image has landmarks.
  let hasLandmarks: Bool
  private(set) var frames: [Int32] = []
  private(set) var boxes: [Float] = []
  private(set) var landmarks: [Float] = []

  init(hasLandmarks: Bool) { self.hasLandmarks = hasLandmarks }

  mutating func append(_ origin: FaceOrigin) {
    precondition(
      (origin.landmarks != nil) == hasLandmarks, "an image has landmarks exactly if its shard has")
    frames.append(origin.frame)
    boxes += [origin.box[0], origin.box[1], origin.box[2], origin.box[3]]
    for point in origin.landmarks ?? [] { landmarks += [point.x, point.y] }
  }
}
