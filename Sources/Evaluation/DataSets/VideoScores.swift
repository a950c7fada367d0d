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

  /// What tells a frame from all others.
  private struct Frame: Hashable {
    var video: Int
    var name: String
  }

  /// What is known while images are added.
  private struct Names {
    var videos: [String: Int] = [:]
    var frames: [Frame: Int] = [:]
    var sources: [String] = []
    var unknown = 0
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
    (videos, self.frames) = ([], [])
    var names = Names()
    for image in paths.indices {
      add(paths[image], frames[image], sources[image], &names)
    }
    if names.unknown > 0 { throw Unknown(images: names.unknown) }
  }

  /// The places of a set's images, nil where not all are known. Of the paths, one shard's are in memory at a
  /// time.
  ///
  /// - Throws: what reading shards throws.
  static func known(of set: ShardSet, sources: [String]) throws -> VideoPlaces? {
    var places = VideoPlaces()
    var names = Names()
    let frames = try set.readFrames()
    try set.forEachShardsPaths { samples, paths in
      // Once it is known that there are none, names need not be kept.
      guard names.unknown == 0 else { return }
      for (image, path) in zip(samples, paths) {
        places.add(path, frames[image], sources[image], &names)
      }
    }
    return names.unknown == 0 ? places : nil
  }

  private init() { (videos, frames) = ([], []) }

  private mutating func add(_ path: String, _ index: Int32, _ source: String, _ names: inout Names)
  {
    guard let (video, frame) = Self.place(path, index), index >= 0 || !source.isEmpty else {
      names.unknown += 1
      return
    }
    let number = names.videos[video] ?? names.videos.count
    if number == names.sources.count {
      names.videos[video] = number
      names.sources.append(source)
    } else if names.sources[number] != source {
      names.unknown += 1
      names.sources[number] = source
    }
    videos.append(number)
    let key = Frame(video: number, name: frame)
    let place = names.frames[key] ?? names.frames.count
    names.frames[key] = place
    frames.append(place)
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
