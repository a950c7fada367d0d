import CFFmpeg
import Foundation
import Foundations
import Images

/// An open video: the shim's functions with Swift's types and errors.
final class VideoFile {
  let path: BytePath
  let limits: VideoLimits
  private let descriptor: Int32
  private var video: OpaquePointer?
  private let cancellation: Cancellation

  /// What the shim's question is answered by.
  private final class Cancellation {
    let isCancelled: () -> Bool
    init(_ isCancelled: @escaping () -> Bool) { self.isCancelled = isCancelled }
  }

  init(
    path: BytePath, limits: VideoLimits, threads: Int, isCancelled: @escaping () -> Bool
  ) throws {
    self.path = path
    self.limits = limits
    cancellation = Cancellation(isCancelled)
    // Without blocking: a pipe must not hang the run.
    descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
    guard descriptor >= 0 else { throw Self.failure(path, "can't be opened", errno) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw Self.failure(path, "can't be examined", errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw VideoError(
        path: path, reason: .notAVideo,
        detail: status.st_mode & S_IFMT == S_IFDIR
          ? "a folder, not a video" : "not a regular file; copy the video into one",
        kind: "not a file")
    }
    guard status.st_size > 0 else {
      throw VideoError(
        path: path, reason: .notAVideo, detail: "the file is empty; copy it again",
        kind: "empty file")
    }
    let size = Int64(status.st_size)
    let (product, overflow) = size.multipliedReportingOverflow(by: Int64(limits.readings))
    var settings = rfm_video_settings(
      maximum_pixels: Int64(limits.maximumPixels), maximum_packets: Int64(limits.maximumFrames),
      // Small files are probed in large bites.
      maximum_read: overflow ? .max : max(product, 64 << 20),
      seconds_without_progress: limits.secondsWithoutProgress, threads: Int32(threads),
      is_cancelled: { context in
        Unmanaged<Cancellation>.fromOpaque(context!).takeUnretainedValue().isCancelled() ? 1 : 0
      },
      context: Unmanaged.passUnretained(cancellation).toOpaque())
    try call { rfm_video_open(descriptor, &settings, &video, $0) }
  }

  deinit {
    rfm_video_close(video)
    if descriptor >= 0 { close(descriptor) }
  }

  // MARK: The shim's functions

  var info: VideoInfo {
    var info = rfm_video_info()
    rfm_video_describe(video, &info)
    return VideoInfo(info)
  }

  /// The matrix of the container.
  var display: DisplayMatrix {
    var info = rfm_video_info()
    rfm_video_describe(video, &info)
    return DisplayMatrix(info.display)
  }

  /// Seconds of one unit of time.
  var timeUnit: Double { rfm_video_time_unit(video) }

  var isCut: Bool { rfm_video_is_cut(video) != 0 }

  /// The packets of the stream, and why reading stopped if not at the end.
  func index() throws -> (packets: [rfm_video_packet], stop: String) {
    var packets: UnsafePointer<rfm_video_packet>?
    var count: Int64 = 0
    let stop = try call { rfm_video_index(video, &packets, &count, $0) }
    return (Array(UnsafeBufferPointer(start: packets, count: Int(count))), stop)
  }

  func rewind() throws { try call { rfm_video_rewind(video, $0) } }

  /// Goes on at a packet of the index; false where the container does not lead there.
  func seek(to packet: Int) throws -> Bool {
    try attempt([RFM_VIDEO_LOST]) { rfm_video_seek(video, Int64(packet), $0) } == RFM_VIDEO_OK
  }

  /// Decodes the next frame; nil behind the last.
  func next() throws -> rfm_video_frame? {
    var frame = rfm_video_frame()
    let status = try attempt([RFM_VIDEO_END]) { rfm_video_next(video, &frame, $0) }
    return status == RFM_VIDEO_OK ? frame : nil
  }

  /// How many packets did not decode since the last rewind, and what was said of the last.
  var refusedPackets: (count: Int, last: String) {
    withMessage { message in
      let count = rfm_video_refused_packets(video, message)
      return (Int(count), Self.printed(message))
    }
  }

  /// The present frame as it is stored.
  func image(of frame: rfm_video_frame) throws -> (image: RGBImage, range: VideoInfo.DynamicRange) {
    let (width, height) = (Int(frame.width), Int(frame.height))
    let size = width * height * 3
    let range = VideoInfo.DynamicRange(rfm_video_frame_transfer(video))
    guard range != .standard else {
      let pixels = try [UInt8](unsafeUninitializedCapacity: size) { buffer, initialised in
        try call { rfm_video_rgb(video, buffer.baseAddress, size, $0) }
        initialised = size
      }
      return (RGBImage(width: width, height: height, pixels: pixels), range)
    }
    let primaries = rfm_video_frame_primaries(video)
    guard primaries != RFM_VIDEO_OTHER_PRIMARIES else {
      throw VideoError(
        path: path, reason: .unsupported,
        detail: "\(range.rawValue) with primary colours other than BT.2020's or BT.709's can't be"
          + " brought to SDR; convert it first: ffmpeg -i VIDEO -vf"
          + " zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=bt709,tonemap=mobius,"
          + "zscale=t=bt709:m=bt709:r=tv,format=yuv420p -crf 12 SDR.mp4")
    }
    let values = try [UInt16](unsafeUninitializedCapacity: size) { buffer, initialised in
      try call { rfm_video_rgb16(video, buffer.baseAddress, size, $0) }
      initialised = size
    }
    let converter =
      range == .hybridLogGamma ? HighDynamicRange.hybridLogGamma : .perceptualQuantizer
    let pixels = converter.standard(values, isWide: primaries == RFM_VIDEO_BT2020)
    return (RGBImage(width: width, height: height, pixels: pixels), range)
  }

  // MARK: Errors

  private func withMessage<Result>(
    _ body: (UnsafeMutablePointer<CChar>) throws -> Result
  ) rethrows -> Result {
    try withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(RFM_VIDEO_MESSAGE_SIZE)) {
      $0.initialize(repeating: 0)
      return try body($0.baseAddress!)
    }
  }

  /// What FFmpeg says may hold texts of the file.
  private static func printed(_ message: UnsafePointer<CChar>) -> String {
    printable(String(cString: message), limit: 200)
  }

  /// Calls the shim; the status if it is 0 or one of `accepted`.
  private func attempt(
    _ accepted: [rfm_video_status], _ body: (UnsafeMutablePointer<CChar>) throws -> rfm_video_status
  ) throws -> rfm_video_status {
    try withMessage { message in
      let status = try body(message)
      guard status == RFM_VIDEO_OK || accepted.contains(status) else {
        throw error(status, Self.printed(message))
      }
      return status
    }
  }

  /// Calls the shim; what it says beside its status.
  @discardableResult
  private func call(
    _ body: (UnsafeMutablePointer<CChar>) throws -> rfm_video_status
  ) throws -> String {
    try withMessage { message in
      let status = try body(message)
      guard status == RFM_VIDEO_OK else { throw error(status, Self.printed(message)) }
      return Self.printed(message)
    }
  }

  private static func failure(_ path: BytePath, _ what: String, _ code: Int32) -> VideoError {
    VideoError(
      path: path, reason: .inputOutput, detail: "\(what): \(String(cString: strerror(code)))")
  }

  private func error(_ status: rfm_video_status, _ message: String) -> VideoError {
    func error(_ reason: VideoError.Reason, _ detail: String, kind: String? = nil) -> VideoError {
      VideoError(path: path, reason: reason, detail: detail, kind: kind)
    }
    switch status {
    case RFM_VIDEO_UNKNOWN, RFM_VIDEO_REFUSED:
      return unreadable(format: status == RFM_VIDEO_REFUSED ? message : nil)
    case RFM_VIDEO_NO_STREAM:
      return error(
        .notAVideo, "no video stream in it (\(message)): a sound recording; leave it out",
        kind: "sound recording")
    case RFM_VIDEO_UNSUPPORTED:
      return error(
        .unsupported, "\(message); convert it to H.264 first with a program that can show it")
    case RFM_VIDEO_TOO_LARGE:
      return error(
        .tooLarge,
        "\(message) are more than is allowed; make it smaller, or cut it, as with:"
          + " ffmpeg -i VIDEO -vf scale=1920:-2 -t 3600 SMALLER.mp4")
    case RFM_VIDEO_STALLED:
      return error(
        .stalled,
        "no frame in \(limits.secondsWithoutProgress) s, or in \(limits.readings) times the file's"
          + " bytes; it may be made so, or the storage hangs: leave it out, or try again")
    case RFM_VIDEO_CANCELLED: return error(.cancelled, "reading was stopped")
    case RFM_VIDEO_INPUT_OUTPUT:
      return Self.failure(path, "can't be read", rfm_video_error_number(video))
    case RFM_VIDEO_OUT_OF_MEMORY: return error(.tooLarge, "not enough memory to decode it")
    default:
      return error(
        .damaged, "\(message); it is damaged or was not copied to its end: fetch it anew")
    }
  }

  /// The error for what FFmpeg does not know, or knows as something that is not read.
  private func unreadable(format: String?) -> VideoError {
    var beginning = [UInt8](repeating: 0, count: 4096)
    let count = beginning.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
    let found = beginning[..<max(0, count)].withUnsafeBytes { MediaKind(of: $0) }
    if let found, !found.name.hasPrefix("a video") {
      return VideoError(
        path: path, reason: .notAVideo,
        detail: "\(found.name), not a video" + (found.advice.map { "; \($0)" } ?? ""),
        kind: found.name)
    }
    guard let format else {
      return VideoError(
        path: path, reason: .notAVideo, detail: "no format of video that is known; leave it out")
    }
    return VideoError(
      path: path, reason: .notAVideo,
      detail: "\(format), which is not read: only files that hold a video by themselves are, no"
        + " playlists, addresses, pictures, texts or sounds; give the video itself",
      kind: format)
  }
}
