import Images

/// One decoded frame.
public struct VideoFrame: Sendable {
  /// Which of the frames that decode, from 0.
  public let index: Int
  /// Which of the chosen frames, from 0. At 0 a pass begins, which may be a second one over the same
  /// video: see ``VideoReader/read(_:_:)``.
  public let ordinal: Int
  /// Seconds since the first frame; where the container has no times, by the rate of frames; nil
  /// without either.
  public let time: Double?
  /// The upright picture.
  public let image: RGBImage
}
