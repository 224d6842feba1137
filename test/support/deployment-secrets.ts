/** Secrets of a deployment as `npm run secrets` makes them, always the same ones. */
export const CAIRN_DEPLOYMENT_TOKEN = "cairn_deployment_0TqS3PzGvJ4mWcYd8uLhKx2RbN7aEf5XiQ1oVsHtB6k";
export const CAIRN_SIGNING_KEYS = "k1:8wQ2Zf5nTjvR0LxYb7aKcU3mPq9sHd6eGt1iVoWzXhE=";
export const CAIRN_ENCRYPTION_KEYS = "k1:Jm4Rz8cVq1NsXy6WbT3hKd0LfP7uGa5eIo2iYtCxQnE=";
