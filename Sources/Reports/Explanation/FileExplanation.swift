import Foundations

/// What a detector says about one file: an image taken as it is, the faces of a photo, or a video.
struct FileExplanation: Sendable, Equatable {
  /// Of an image one; of a photo each of its faces, largest first; of a video the face that is followed,
  /// frame by frame. At least one.
  var faces: [Explanation]
  /// Of a video.
  var video: VideoExplanation?

  var path: String { faces[0].path }

  /// Whether each face is a verdict of its own, or the video is one.
  var verdicts: [Bool] { video.map { [$0.isFake] } ?? faces.map(\.isFake) }

  /// The lines of output.
  var lines: [JSON] { faces.map(\.json) + (video.map { [$0.json] } ?? []) }

  init(faces: [Explanation], video: VideoExplanation? = nil) {
    precondition(!faces.isEmpty, "a file without a face is passed over")
    self.faces = faces
    self.video = video
  }

  /// What lines of output say; nil if they are not those of one file.
  init?(lines: [JSON]) {
    var faces: [Explanation] = []
    var video: VideoExplanation?
    for line in lines {
      if let found = VideoExplanation(line) {
        video = found
      } else if let face = Explanation(line) {
        faces.append(face)
      } else {
        return nil
      }
    }
    guard !faces.isEmpty else { return nil }
    self.init(faces: faces, video: video)
  }
}
