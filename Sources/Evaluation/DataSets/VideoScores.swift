import FaceShards

/// Which images are of one video, and of one frame of it.
struct VideoPlaces: Sendable {
  /// Of each image the number of its video.
  var videos: [Int]
  /// Of each image the number of its frame, over all videos; images with the same one are faces of one
  /// frame.
  var frames: [Int]

  /// Images that are not frames of videos, or of which nothing says so.
  struct Unknown: Error, Equatable {
    /// How many they are.
    var images: Int
  }

  /// Tells videos by the shards' `frames`, where they have them (the path is that of the video then), or by
  /// names of frames, `VIDEO/0001.png` or `VIDEO_0001.png`. What looks like a video by its names and has
  /// images of several sources is none: pictures are numbered too.
  ///
  /// - Parameters:
  ///   - paths: of each image, empty where there is none; `sources` likewise.
  ///   - frames: index of each image in its video, below 0 where it is none.
  /// - Throws: ``Unknown``.
  init(paths: [String], frames: [Int32], sources: [String]) throws(Unknown) {
    var videoNumbers: [String: Int] = [:]
    var frameNumbers: [String: Int] = [:]
    var sourceOfVideo: [Int: String] = [:]
    var unknown = 0
    (videos, self.frames) = ([], [])
    for image in paths.indices {
      guard let (video, frame) = Self.place(paths[image], frames[image]),
        frames[image] >= 0 || !sources[image].isEmpty
      else {
        unknown += 1
        continue
      }
      let number = videoNumbers[video] ?? videoNumbers.count
      videoNumbers[video] = number
      if sourceOfVideo[number, default: sources[image]] != sources[image] { unknown += 1 }
      sourceOfVideo[number] = sources[image]
      videos.append(number)
      let key = "\(video)\u{0}\(frame)"
      let place = frameNumbers[key] ?? frameNumbers.count
      frameNumbers[key] = place
      self.frames.append(place)
    }
    if unknown > 0 { throw Unknown(images: unknown) }
  }

  /// A video's name and a frame's within it; nil where neither the shard nor the path tells one.
  private static func place(_ path: String, _ frame: Int32) -> (video: String, frame: String)? {
    guard !path.isEmpty else { return nil }
    if frame >= 0 { return (path, "\(frame)") }
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    let folder = parts.dropLast().joined(separator: "/")
    let stem = parts[parts.count - 1].prefix { $0 != "." }
    let isNumber = !stem.isEmpty && stem.utf8.allSatisfy { (48...57).contains($0) }
    if isNumber { return folder.isEmpty ? nil : (folder, String(stem)) }
    return FrameNames.video(of: Array(stem.utf8)).map {
      (folder + "/" + String(decoding: $0, as: UTF8.self), String(stem))
    }
  }
}

/// Figures of whole videos.
public struct VideoMetrics: Equatable, Sendable, Codable {
  /// A video's score is the mean of its frames', as the field's benchmarks have it.
  public var mean: EvaluationMetrics.SourceMetrics
  /// Or the median.
  public var median: EvaluationMetrics.SourceMetrics
}

extension ScoredSamples {
  /// Each video is a sample. A frame's score is the largest of its faces' (Shiohara and Yamasaki 2022: one
  /// forged face makes the frame a forgery), a video's the mean or the median of its frames'.
  func byVideo(_ places: VideoPlaces, median: Bool) -> ScoredSamples {
    grouped(by: places.videos) { images in
      var numbers: [Int: Int] = [:]
      var frames: [Double] = []
      for image in images {
        if let number = numbers[places.frames[image]] {
          frames[number] = Swift.max(frames[number], scores[image])
        } else {
          numbers[places.frames[image]] = frames.count
          frames.append(scores[image])
        }
      }
      guard median else { return frames.reduce(0, +) / Double(frames.count) }
      frames.sort()
      return (frames[(frames.count - 1) / 2] + frames[frames.count / 2]) / 2
    }
  }
}
