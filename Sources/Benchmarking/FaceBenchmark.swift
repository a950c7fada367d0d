import Dispatch
import Faces
import Foundations
import Images
import Synchronization

/// Measures both halves of what `pack --faces detect` does to videos: `rfm benchmark --faces`.
///
/// Videos are shared among threads as packing shares them, each decoded by one thread. Decoding is
/// measured with the frames that packing would take, and without looking for faces; finding, with the
/// frames in memory; and both together as packing does them.
public enum FaceBenchmark {
  public struct Report: Codable, Sendable, Equatable {
    public var videos: Int
    public var threads: Int
    /// Frames that decode, all in all; those that were taken; faces that were found in them.
    public var decodedFrames: Int
    public var frames: Int
    public var faces: Int
    /// Of the frames that decode, skipped ones included.
    public var decodedFramesPerSecond: Double
    public var framesTakenPerSecond: Double
    /// Frames that the detector looks at, and faces cut out of them.
    public var detectedFramesPerSecond: Double
    /// Faces of packing as a whole.
    public var facesPerSecond: Double

    enum CodingKeys: String, CodingKey {
      case videos, threads, frames, faces
      case decodedFrames = "decoded_frames"
      case decodedFramesPerSecond = "decoded_frames_per_second"
      case framesTakenPerSecond = "frames_taken_per_second"
      case detectedFramesPerSecond = "detected_frames_per_second"
      case facesPerSecond = "faces_per_second"
    }
  }

  /// - Parameters:
  ///   - videos: at least one.
  ///   - frames: taken of each.
  /// - Throws: `VideoError`, `FaceError`.
  public static func run(
    _ videos: [String], frames: Int, settings: FaceCropSettings, threads: Int
  ) throws -> Report {
    precondition(!videos.isEmpty && frames > 0 && threads > 0, "videos, frames and threads")
    let choice = FrameChoice.evenly(frames)
    let paths = videos.map { BytePath($0) }
    // Pictures of so many videos are kept for the detector.
    let kept = Mutex<[RGBImage]>([])
    let room = 64
    let decoded = Atomic(0)
    let taken = Atomic(0)
    let decoding = try time(paths, threads: threads) { path in
      let reading = try VideoReader(path: path).read(choice) { frame in
        kept.withLock { if $0.count < room { $0.append(frame.image) } }
      }
      decoded.add(reading.frameCount, ordering: .relaxed)
      taken.add(reading.results.count, ordering: .relaxed)
    }
    let pictures = kept.withLock { $0 }
    let detection = try time(Array(0..<threads), threads: threads) { thread in
      let cropper = try FaceCropper(settings)
      for picture in pictures.enumerated() where picture.offset % threads == thread {
        _ = try cropper.faces(in: picture.element)
      }
    }
    let faces = Atomic(0)
    let whole = try time(paths, threads: threads) { path in
      let cropper = try FaceCropper(settings)
      var track = FaceTrack()
      let reading = try VideoReader(path: path).read(choice) { frame in
        if frame.ordinal == 0 { track = FaceTrack() }
        return try cropper.face(in: frame.image, track: &track) != nil
      }
      faces.add(reading.results.count { $0 }, ordering: .relaxed)
    }
    return Report(
      videos: videos.count, threads: threads, decodedFrames: decoded.load(ordering: .relaxed),
      frames: taken.load(ordering: .relaxed), faces: faces.load(ordering: .relaxed),
      decodedFramesPerSecond: Double(decoded.load(ordering: .relaxed)) / decoding,
      framesTakenPerSecond: Double(taken.load(ordering: .relaxed)) / decoding,
      detectedFramesPerSecond: Double(pictures.count) / detection,
      facesPerSecond: Double(faces.load(ordering: .relaxed)) / whole)
  }

  /// Seconds that `work` takes on all of `items`, shared among threads.
  private static func time<Item: Sendable>(
    _ items: [Item], threads: Int, _ work: @Sendable (Item) throws -> Void
  ) throws -> Double {
    let next = Atomic(0)
    let failure = Mutex<(any Error)?>(nil)
    let watch = Stopwatch()
    DispatchQueue.concurrentPerform(iterations: threads) { _ in
      while failure.withLock({ $0 == nil }) {
        let index = next.add(1, ordering: .relaxed).oldValue
        guard index < items.count else { return }
        do { try work(items[index]) } catch { failure.withLock { $0 = $0 ?? error } }
      }
    }
    if let error = failure.withLock({ $0 }) { throw error }
    return watch.seconds
  }
}
