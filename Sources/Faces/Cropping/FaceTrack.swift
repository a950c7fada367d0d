/// Which of a video's people is followed from frame to frame.
///
/// The first frame's largest face is. In the next frame the one that follows is the face whose box, with
/// that of before and both with sides doubled, has the largest intersection over union; it must be at
/// least 0.2: for boxes of one size their centres are then no more than 4/3 of a side apart, for boxes
/// around one centre their sides differ by no more than a factor of 2.2. So a head may move by its own
/// width between two frames that were chosen, and somebody beside it is not taken for it. While no face
/// follows, the frame has none: after ``patience`` such frames in a row whoever is largest is followed.
public struct FaceTrack: Sendable, Equatable {
  /// Frames in a row without the face after which another one may be followed.
  public static let patience = 3

  static let leastOverlap: Float = 0.2

  /// Where the face was seen last.
  public private(set) var last: FaceBox?
  /// Frames since then.
  public private(set) var missed = 0

  public init() {}

  /// Chooses among the faces of the next frame; `mask` is of its size.
  ///
  /// With a mask that has anything in it, the face with the most forged pixels in its box is taken,
  /// whoever was followed, and none if there are none in any box: the forged face was not found.
  /// - Returns: the index of the chosen.
  public mutating func choose(among boxes: [FaceBox], mask: GreyMask? = nil) -> Int? {
    let chosen: Int?
    if let mask, mask.isMarked {
      let counts = boxes.map { Float(mask.count(in: $0)) }
      chosen = Self.best(boxes, by: counts, over: 0)
    } else if let last, missed < Self.patience {
      let wide = last.enlarged(by: 2)
      let overlaps = boxes.map { $0.enlarged(by: 2).intersectionOverUnion(wide) }
      chosen = Self.best(boxes, by: overlaps, over: Self.leastOverlap.nextDown)
    } else {
      chosen = Self.best(boxes, by: boxes.map(\.area), over: 0)
    }
    if let chosen {
      last = boxes[chosen]
      missed = 0
    } else {
      missed += 1
    }
    return chosen
  }

  /// The first of the largest values above `floor`; of equal ones the larger box.
  private static func best(_ boxes: [FaceBox], by values: [Float], over floor: Float) -> Int? {
    boxes.indices.filter { values[$0] > floor }.min {
      (values[$1], boxes[$1].area, $0) < (values[$0], boxes[$0].area, $1)
    }
  }
}
