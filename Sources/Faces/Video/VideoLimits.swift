/// How much a video may ask for. It may come from anywhere; its headers are only claims.
public struct VideoLimits: Sendable, Equatable {
  /// Frames of more pixels are refused: 8192×4352. A decoder keeps up to 17 of them.
  public var maximumPixels = 8192 * 4352
  /// Videos of more frames are refused: 9 hours at 60 frames a second. A frame takes 72 bytes of
  /// memory while its video is read.
  public var maximumFrames = 2_000_000
  /// Seconds that may go by without a packet or a frame.
  public var secondsWithoutProgress = 120.0
  /// How often the file's size may be read in one pass. A container can lead its reader round in
  /// circles; one whose sound and pictures are far apart is read about twice.
  public var readings = 16

  public init() {}
}
