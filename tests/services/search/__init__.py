"""Search: vectors, words, fusion and the index that joins them, over real FAISS and real jieba."""
