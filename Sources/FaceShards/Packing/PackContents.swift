import Foundations

/// What the files of a plan are, in short.
struct PackContents: Equatable {
  var images: Int
  var videos: Int
  /// Whether any file has one that shows what was forged.
  var hasMasks: Bool
  var beginsWithVideo: Bool
  /// The first of each kind.
  var image: BytePath?
  var video: BytePath?

  var count: Int { images + videos }
}

extension PackContents {
  init(_ plan: PackPlan) {
    let videos = plan.items.count(where: \.isVideo)
    self.init(
      images: plan.items.count - videos, videos: videos,
      hasMasks: plan.items.contains { $0.mask != nil },
      beginsWithVideo: plan.items.first?.isVideo ?? false,
      image: plan.items.first { !$0.isVideo }?.path, video: plan.items.first(where: \.isVideo)?.path
    )
  }
}
