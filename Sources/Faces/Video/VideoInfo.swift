import CFFmpeg

/// What a video's container and first pictures say of it.
public struct VideoInfo: Sendable, Equatable {
  /// How the light is encoded.
  public enum DynamicRange: String, Sendable {
    /// As on every screen before.
    case standard = "SDR"
    /// The perceptual quantiser (SMPTE ST 2084), of HDR10 and Dolby Vision.
    case perceptualQuantizer = "PQ"
    /// Hybrid log-gamma (ARIB STD-B67), of telephones and broadcasting.
    case hybridLogGamma = "HLG"
  }

  /// FFmpeg's name, such as "mov,mp4,m4a,3gp,3g2,mj2".
  public let container: String
  /// FFmpeg's name, such as "h264".
  public let codec: String
  /// Of the upright picture, in pixels.
  public let width: Int
  public let height: Int
  /// How the stored picture is turned to be upright, as "turned by 90°"; nil if it is upright.
  public let orientation: String?
  /// Seconds, if known.
  public let duration: Double?
  /// As many frames as the container says; not every one says it, and it may be wrong.
  public let declaredFrames: Int?
  /// Frames a second on average, if known.
  public let frameRate: Double?
  /// FFmpeg's name, such as "yuv420p10le".
  public let pixelFormat: String
  /// FFmpeg's names of what is said of the colours; nil where nothing is.
  public let matrix: String?
  public let range: String?
  public let transfer: String?
  public let primaries: String?
  public let dynamicRange: DynamicRange
  /// Width of a pixel over its height; frames are left as stored.
  public let pixelAspect: Double
  /// Streams of pictures in the file, of which one is read.
  public let videoStreams: Int

  /// Whether the light is encoded as for high dynamic range, so that frames are brought to SDR.
  public var isHighDynamicRange: Bool { dynamicRange != .standard }

  init(_ info: rfm_video_info) {
    func text<Characters>(_ characters: Characters) -> String {
      withUnsafeBytes(of: characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    func stated<Characters>(_ characters: Characters) -> String? {
      let value = text(characters)
      return value.isEmpty ? nil : value
    }
    let display = DisplayMatrix(info.display)
    container = text(info.container)
    codec = text(info.codec)
    (width, height) =
      display.isTurned ? (Int(info.height), Int(info.width)) : (Int(info.width), Int(info.height))
    orientation = display.words
    duration = info.duration >= 0 ? info.duration : nil
    declaredFrames = info.frames > 0 ? Int(info.frames) : nil
    frameRate = info.frame_rate > 0 ? info.frame_rate : nil
    pixelFormat = text(info.pixel_format)
    matrix = stated(info.matrix)
    range = stated(info.range)
    transfer = stated(info.transfer)
    primaries = stated(info.primaries)
    dynamicRange = DynamicRange(info.dynamic_range)
    pixelAspect = info.pixel_aspect
    videoStreams = Int(info.video_streams)
  }
}

extension VideoInfo.DynamicRange {
  init(_ transfer: rfm_video_transfer) {
    switch transfer {
    case RFM_VIDEO_PQ: self = .perceptualQuantizer
    case RFM_VIDEO_HLG: self = .hybridLogGamma
    default: self = .standard
    }
  }
}
